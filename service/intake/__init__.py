"""What happens to a picture: checked, probed, decoded, forgotten. Nothing here writes to a disk.

A new picture format gets a header reader in `headers` and a codec in `codecs`; its limits are in `limits`.
"""
