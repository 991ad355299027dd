"""Benchmarks: one command each, results as JSON with machine, versions and commit."""
