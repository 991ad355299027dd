"""Catalogue feeds as shops publish them, read as a stream: bytes in, items and problems out. Knows no network."""
