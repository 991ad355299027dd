"""Measures the distances of copies and of different things on drawn pictures, for the manifest's `score`.

python -m service.encoder.builtin.calibration    prints the quantiles and the resulting score
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.features import INPUT, prepared
from service.encoder.builtin.generator.grounds import any_ground
from service.encoder.builtin.generator.objects import KINDS, Thing, draw
from service.encoder.builtin.generator.pairs import PICTURE_SIDE
from service.encoder.builtin.generator.views import Pixels, compose, edited, photographed
from service.encoder.calibration import score_of
from service.encoder.manifest import read_manifest
from service.encoder.registry import BUILTIN_FOLDER
from service.encoder.session import load_model

_FIRST = 1 << 43
Floats = NDArray[np.float32]


def measured(per_kind: int) -> tuple[Floats, Floats]:
    """Sorted cosine distances between drawn goods and their edited copies, and between different goods of the same
    kind.

    The latter are the pairs of different things that are hardest to tell apart.
    """
    drawn = [_with_copy(kind, number) for kind in range(len(KINDS)) for number in range(per_kind)]
    pixels = np.stack([prepared(p) for views in zip(*drawn, strict=True) for p in views])
    manifest = read_manifest(BUILTIN_FOLDER)
    session = load_model(str(BUILTIN_FOLDER / manifest.model), threads=2)
    vectors = np.concatenate(
        [session.run(None, {INPUT.name: pixels[i : i + 16]})[0] for i in range(0, len(pixels), 16)]
    )
    originals, copies = np.split(vectors, 2)
    kinds = originals.reshape(len(KINDS), per_kind, -1)
    apart = 1 - kinds @ kinds.transpose(0, 2, 1)
    upper = np.triu_indices(per_kind, 1)
    return np.sort(1 - (originals * copies).sum(1)), np.sort(apart[:, *upper].ravel())


def _with_copy(kind: int, number: int) -> tuple[Pixels, Pixels]:
    rng = np.random.default_rng([_FIRST, kind, number])
    shape, material = rng.integers(1 << 62, size=2)
    layer = draw(Thing(kind, int(shape), int(material)))
    original = photographed(rng, compose(rng, layer, any_ground(rng, PICTURE_SIDE), hard=True), colour_change=0.0)
    return original, edited(rng, original)


def main() -> int:
    """Measures and prints. Returns the exit code."""
    copies, strangers = measured(6)
    for name, values in (("copies", copies), ("strangers", strangers)):
        quantiles = {q: round(float(np.quantile(values, q)), 3) for q in (0.001, 0.01, 0.1, 0.5, 0.75, 0.9, 0.99)}
        print(name, quantiles)
    print(score_of(strangers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
