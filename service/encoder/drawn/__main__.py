"""Measures an encoder on drawn products: `make encoder-drawn`.

python -m service.encoder.drawn            the built-in encoder; writes a file beside this module
python -m service.encoder.drawn FOLDER     the encoder in a folder with a manifest; writes FOLDER/drawn.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

from service.encoder.drawn.measure import measured
from service.encoder.drawn.samples import FILE_NAME, FOLDER
from service.encoder.kinds import load_kind
from service.encoder.manifest import read_manifest
from service.encoder.registry import BUILTIN_FOLDER


def main(arguments: list[str]) -> int:
    """Measures and writes. Returns the exit code."""
    folder = Path(arguments[0]) if arguments else BUILTIN_FOLDER
    manifest = read_manifest(folder)
    target = folder / FILE_NAME if arguments else FOLDER / f"{manifest.fingerprint}.npz"
    measured(load_kind(folder, manifest, 1, "cpu")).write(target)
    print(f"{target}: {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
