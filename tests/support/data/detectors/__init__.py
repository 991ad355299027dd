"""Detectors for tests: small graphs of families of models, and the built-in one as other families export it."""
