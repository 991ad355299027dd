"""How far apart copies and strangers are, measured on drawn pictures: what the manifest's `score` rests on.

python -m service.encoder.builtin.calibration    prints the quantiles and the score that follows
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.formula import INPUT, prepared
from service.encoder.builtin.generator.grounds import any_ground
from service.encoder.builtin.generator.objects import any_thing, draw
from service.encoder.builtin.generator.pairs import PICTURE_SIDE
from service.encoder.builtin.generator.views import Pixels, compose, edited, photographed
from service.encoder.manifest import ScoreSpec, read_manifest
from service.encoder.registry import BUILTIN_FOLDER
from service.encoder.session import load_model

_FIRST = 1 << 43
_NEAR_QUANTILE, _STRANGER_QUANTILE = 0.75, 0.001
Floats = NDArray[np.float32]


def measured(pictures: int) -> tuple[Floats, Floats]:
    """Cosine distances between drawn pictures and their copies (pictures,), and between all strangers, ascending."""
    drawn = [_with_copy(number) for number in range(_FIRST, _FIRST + pictures)]
    pixels = np.stack([prepared(p) for views in zip(*drawn, strict=True) for p in views])
    manifest = read_manifest(BUILTIN_FOLDER)
    session = load_model(str(BUILTIN_FOLDER / manifest.model), threads=2)
    vectors = np.concatenate(
        [session.run(None, {INPUT.name: pixels[i : i + 16]})[0] for i in range(0, len(pixels), 16)]
    )
    originals, copies = np.split(vectors, 2)
    apart = 1 - originals @ originals.T
    return np.sort(1 - (originals * copies).sum(1)), np.sort(apart[np.triu_indices(pictures, 1)])


def score_of(copies: Floats, strangers: Floats) -> ScoreSpec:
    """Half the score where one stranger in a thousand is as near; near-duplicates where three copies in four are."""
    midpoint = float(np.quantile(strangers, _STRANGER_QUANTILE))
    near = min(float(np.quantile(copies, _NEAR_QUANTILE)), midpoint / 2)
    width = (float(np.quantile(strangers, 0.02)) - midpoint) / np.log(9)  # 0.1 where one stranger in fifty is as near
    return ScoreSpec(midpoint=round(midpoint, 2), width=round(width, 3), near_duplicate_distance=round(near, 2))


def _with_copy(number: int) -> tuple[Pixels, Pixels]:
    rng = np.random.default_rng(number)
    picture = compose(rng, draw(any_thing(rng)), any_ground(rng, PICTURE_SIDE), hard=True)
    original = photographed(rng, picture, colour_change=0.0)
    return original, edited(rng, original)


def main() -> int:
    """Measures and prints; returns the exit code."""
    copies, strangers = measured(1000)
    for name, values in (("copies", copies), ("strangers", strangers)):
        quantiles = {q: round(float(np.quantile(values, q)), 3) for q in (0.001, 0.01, 0.1, 0.5, 0.75, 0.9, 0.99)}
        print(name, quantiles)
    print(score_of(copies, strangers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
