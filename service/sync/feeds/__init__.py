"""Parsers of catalogue feeds as streams: bytes in, items and problems out. No network access.

A new feed format gets a module here, or a folder, and its entry in `reader`.
"""
