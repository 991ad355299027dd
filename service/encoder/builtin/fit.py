"""Fits the projections in closed form to drawn pairs.

It is deterministic on one machine. Between machines, floating point changes cosines by less than build.TOLERANCE.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from service.encoder.builtin.colour import CODES, lab
from service.encoder.builtin.colour import SIDE as COLOUR_SIDE
from service.encoder.builtin.features import INPUT, feature_model, pixel_input, prepared, unit_planes
from service.encoder.builtin.generator.pairs import Relation, draw_pair
from service.encoder.builtin.graph import Graph
from service.encoder.builtin.instance import standard_of
from service.encoder.builtin.network import NetworkWeights
from service.encoder.builtin.weights import NETWORK, Projections
from service.encoder.builtin.whitening import fit_whitening
from service.encoder.session import load_model

_CHUNK = 20
_FIRST = 1 << 42  # first pair number, outside the pairs that are used elsewhere
_COLOURS_FROM, _COLOUR_STEP, _COLOUR_ROUNDS = 3000, 31, 3  # pictures, pixels skipped, rounds of k-means
_COLOUR_SHRINKAGE, _INSTANCE_SHRINKAGE = 0.03, 0.3
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Amounts:
    """How many pairs of each relation, and the dimensions of the parts. Colour is fitted to objects and scenes, and
    the instance part to all."""

    objects: int = 7_000
    scenes: int = 700
    copies: int = 3_000
    shop: int = 2_500
    colour: int = 64
    instance: int = 192

    @property
    def pairs(self) -> dict[Relation, int]:
        """By relation; those of colour come first."""
        return {"object": self.objects, "scene": self.scenes, "copy": self.copies, "shop": self.shop}


def fit_projections(amounts: Amounts, codebook: Floats) -> Projections:
    """Draws the pairs and fits. Takes some minutes on all cores."""
    chunks = [(relation, start) for relation, count in amounts.pairs.items() for start in range(0, count, _CHUNK)]
    with ProcessPoolExecutor(initializer=_open, initargs=(codebook,)) as pool:
        parts = list(track(pool.map(chunk_features, chunks), "Drawing pairs", total=len(chunks)))
    colour, instance = (np.concatenate([p[block] for p in parts], axis=1) for block in (0, 1))
    known = sum(-(-count // _CHUNK) * _CHUNK for count in (amounts.objects, amounts.scenes))
    standard = standard_of(instance[0])
    first, second = (standard.apply(view) for view in instance)
    return Projections(
        codebook, fit_whitening(colour[0, :known], colour[1, :known], amounts.colour, _COLOUR_SHRINKAGE), standard,
        fit_whitening(first, second, amounts.instance, _INSTANCE_SHRINKAGE),
    )  # fmt: skip


def fit_codebook(pictures: int = _COLOURS_FROM, codes: int = CODES) -> Floats:
    """Colours of drawn objects in curved Lab by k-means: float32 (codes, 3)."""
    graph = Graph()
    curved = lab(graph, unit_planes(graph, INPUT.name))
    model = graph.model("lab", pixel_input(), {"lab": (curved, [COLOUR_SIDE**2, 3])})
    session = load_model(model.SerializeToString(), threads=1)
    drawn = (prepared(draw_pair(_FIRST + n, "object").first) for n in range(pictures))
    pixels = np.concatenate([session.run(None, {INPUT.name: p[None]})[0][0] for p in drawn])[::_COLOUR_STEP]
    cv2.setRNGSeed(1)
    end = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, _COLOUR_ROUNDS, 1e-3)
    return cv2.kmeans(pixels, codes, None, end, 1, cv2.KMEANS_PP_CENTERS)[2]  # type: ignore[call-overload]


def chunk_features(chunk: tuple[Relation, int]) -> tuple[Floats, Floats]:
    """Colour and instance features of a chunk of pairs, each (2, pairs, features)."""
    relation, start = chunk
    cv2.setNumThreads(1)
    pairs = [draw_pair(_FIRST + number, relation) for number in range(start, start + _CHUNK)]
    pixels = np.stack([prepared(p) for views in ([q.first for q in pairs], [q.second for q in pairs]) for p in views])
    colour, instance = _session(*_CODEBOOK).run(["colour", "instance"], {INPUT.name: pixels})
    return np.stack(np.split(colour, 2)), np.stack(np.split(instance, 2))


_CODEBOOK: list[bytes] = []  # of this process


def _open(codebook: Floats) -> None:
    _CODEBOOK[:] = [codebook.tobytes()]


@cache
def _session(codebook: bytes):  # type: ignore[no-untyped-def]
    colours = np.frombuffer(codebook, np.float32).reshape(-1, 3)
    model = feature_model(NetworkWeights.load(NETWORK), colours)
    return load_model(model.SerializeToString(), threads=1)
