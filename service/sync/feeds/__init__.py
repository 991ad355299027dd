"""Catalogue feeds as shops publish them, read as a stream: bytes in, items and problems out. Knows no network.

A new feed format gets a module here, or a folder, and its entry in `reader`.
"""
