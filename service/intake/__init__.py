"""Pictures: checking, probing, decoding and downloading. Nothing here writes to disk.

A new picture format gets a header reader in `headers` and a codec in `codecs`. Its limits are in `limits`.
"""
