"""Measures an encoder on drawn products: `make encoder-drawn`.

python -m service.encoder.drawn            the built-in encoder; writes a file beside this module
python -m service.encoder.drawn FOLDER     the encoder in a folder with a manifest; writes FOLDER/drawn.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from service.encoder.contract import Encoder, picture_vectors
from service.encoder.drawn.draw import draw_products
from service.encoder.drawn.samples import FILE_NAME, FOLDER, DrawnSamples
from service.encoder.kinds import load_kind
from service.encoder.manifest import read_manifest
from service.encoder.preprocess import to_tensor
from service.encoder.registry import BUILTIN_FOLDER

FORMS = 200
_BATCH = 8


def measured(encoder: Encoder, forms: int = FORMS) -> DrawnSamples:
    """The vectors of drawn products. Takes about 20 ms of a core for each picture with the built-in encoder."""
    drawn = list(draw_products(forms))
    pictures = [p.catalogue for p in drawn] + [p.photograph for p in drawn]
    tensors = [to_tensor(p, encoder.manifest.input) for p in pictures]
    made = [picture_vectors(encoder, tensors[i : i + _BATCH]) for i in range(0, len(tensors), _BATCH)]
    vectors = np.concatenate(made).astype(np.float32)
    catalogue, photographs = np.split(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), 2)
    return DrawnSamples(catalogue, photographs)


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
