"""Stage A: computes the closed-form projections from drawn pairs.

It is deterministic on one machine. Between machines, floating point changes cosines by less than build.TOLERANCE.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from service.encoder.builtin.formula import INPUT, feature_model, prepared
from service.encoder.builtin.generator.pairs import Relation, draw_pair
from service.encoder.builtin.whitening import Projection, fit_whitening
from service.encoder.session import load_model

DIMENSIONS = (64, 256)
OBJECT_PAIRS, SCENE_PAIRS = 9_000, 1_000
_CHUNK = 100
_FIRST = 1 << 42  # first pair number, outside the pairs on which the head is trained
Floats = NDArray[np.float32]


def closed_form(
    objects: int = OBJECT_PAIRS, scenes: int = SCENE_PAIRS, dimensions: tuple[int, int] = DIMENSIONS
) -> tuple[Projection, Projection]:
    """The colour projection and the shape projection with the given dimensions. Takes a few minutes on all cores."""
    chunks: list[tuple[Relation, int]] = [("object", start) for start in range(0, objects, _CHUNK)]
    chunks += [("scene", start) for start in range(0, scenes, _CHUNK)]
    with ProcessPoolExecutor() as pool:
        parts = list(track(pool.map(chunk_features, chunks), "Drawing pairs", total=len(chunks)))
    colour, shape = (np.concatenate([p[block] for p in parts], axis=1) for block in (0, 1))
    return fit_whitening(colour[0], colour[1], dimensions[0]), fit_whitening(shape[0], shape[1], dimensions[1])


def chunk_features(chunk: tuple[Relation, int]) -> tuple[Floats, Floats]:
    """Colour and shape features of a chunk of pairs, each (2, pairs, features)."""
    relation, start = chunk
    cv2.setNumThreads(1)
    pairs = [draw_pair(_FIRST + number, relation) for number in range(start, start + _CHUNK)]
    pixels = np.stack([prepared(p) for views in ([q.first for q in pairs], [q.second for q in pairs]) for p in views])
    parts = [_session().run(["colour", "shape"], {INPUT.name: pixels[i : i + 20]}) for i in range(0, len(pixels), 20)]
    colour, shape = (np.stack(np.split(np.concatenate([p[i] for p in parts]), 2)) for i in (0, 1))
    return colour, shape


@cache
def _session():  # type: ignore[no-untyped-def]
    return load_model(feature_model().SerializeToString(), threads=1)
