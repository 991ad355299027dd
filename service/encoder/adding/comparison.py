"""Measures encoders side by side on an operator's own pictures.

The truth is the operator's: pictures of one group, such as the pictures of one product, belong together. Without groups
each picture is to be found by altered copies of itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from service.encoder.alterations import ALTERATIONS, Picture
from service.encoder.calibration import score_of
from service.encoder.contract import Encoder, picture_vectors
from service.encoder.manifest import ScoreSpec
from service.encoder.preprocess import to_tensor
from service.encoder.retrieval import Vectors, class_scores, shop_scores
from service.runtime.clock import Stopwatch

LEAST_PICTURES, LEAST_TO_CALIBRATE = 10, 50
_BATCH, _SEED, _MOST_PAIRS = 8, 11, 200_000
_TIMED_ROUNDS, _TIMED_SIDES = 15, (480, 360)


class Truth(StrEnum):
    """By what a hit is right."""

    GROUPS = "groups"
    COPIES = "altered copies"


@dataclass(frozen=True)
class GroupedPicture:
    """pixels: uint8 (height, width, 3) RGB. group: what it belongs to; empty: unknown."""

    pixels: Picture
    group: str = ""


@dataclass(frozen=True)
class Measured:
    """first: share of the queries whose first hit is right, per cent (R@1). precision: mAP@10, per cent. ms: of one
    picture by itself, preprocessing and model, the best of _TIMED_ROUNDS: least disturbed by what else runs."""

    encoder_id: str
    first: float
    precision: float
    ms: float
    dimension: int


@dataclass(frozen=True)
class Comparison:
    """rows: one for each encoder, in order. queries: how many were counted. score: a curve for the first encoder by
    these pictures, or None where they are too few."""

    truth: Truth
    queries: int
    rows: tuple[Measured, ...]
    score: ScoreSpec | None


@dataclass
class _Collected:
    """The vectors of one encoder so far."""

    originals: list[Vectors] = field(default_factory=list)
    copies: list[Vectors] = field(default_factory=list)


def truth_of(groups: Iterable[str]) -> Truth:
    """GROUPS where there are two at least, and one of them has two pictures."""
    counts = Counter(g for g in groups if g)
    return Truth.GROUPS if len(counts) > 1 and max(counts.values()) > 1 else Truth.COPIES


def compare(encoders: Sequence[Encoder], pictures: Iterable[GroupedPicture], truth: Truth) -> Comparison:
    """Encodes all pictures with all encoders; only one picture is in memory at a time.

    Raises ValueError where there are fewer than LEAST_PICTURES, and what the encoders raise.
    """
    rng, collected, groups = np.random.default_rng(_SEED), [_Collected() for _ in encoders], []
    for picture in pictures:
        groups.append(picture.group)
        altered = [] if truth is Truth.GROUPS else [alter(picture.pixels, rng) for alter in ALTERATIONS.values()]
        for encoder, found in zip(encoders, collected, strict=True):
            vectors = _encoded(encoder, [picture.pixels, *altered])
            found.originals.append(vectors[0])
            found.copies.append(vectors[1:])
    if len(groups) < LEAST_PICTURES:
        raise ValueError(f"{len(groups)} pictures are too few for a measurement; pass at least {LEAST_PICTURES}")
    labels = np.array([g or f"alone {n}" for n, g in enumerate(groups)])
    rows = [_measured(e, c, labels, truth) for e, c in zip(encoders, collected, strict=True)]
    counts = Counter(labels.tolist())
    queries = sum(n for n in counts.values() if n > 1) if truth is Truth.GROUPS else len(groups) * len(ALTERATIONS)
    return Comparison(truth, queries, tuple(rows), _score(collected[0], labels, truth))


def _encoded(encoder: Encoder, pictures: Sequence[Picture]) -> Vectors:
    tensors = [to_tensor(p, encoder.manifest.input) for p in pictures]
    return np.concatenate([picture_vectors(encoder, part) for part in _parts(tensors)])


def _parts(tensors: list[NDArray[np.generic]]) -> Iterator[list[NDArray[np.generic]]]:
    for start in range(0, len(tensors), _BATCH):
        yield tensors[start : start + _BATCH]


def _measured(encoder: Encoder, found: _Collected, labels: NDArray[np.str_], truth: Truth) -> Measured:
    originals = np.stack(found.originals)
    if truth is Truth.GROUPS:
        scores = class_scores(originals, labels)
    else:
        own = np.arange(len(originals)).astype(str)  # each picture has copies of its own, whatever group it is of
        scores = shop_scores(np.concatenate(found.copies), originals, np.repeat(own, len(ALTERATIONS)), own)
    made = encoder.manifest.output
    return Measured(
        encoder.manifest.id, round(scores["R@1"], 1), round(scores["mAP@10"], 1), round(_least_ms(encoder), 1),
        made.dimension,
    )  # fmt: skip


def _least_ms(encoder: Encoder) -> float:
    picture = np.random.default_rng(0).integers(0, 256, (*_TIMED_SIDES, 3), np.uint8)

    def once() -> float:
        watch = Stopwatch()
        picture_vectors(encoder, [to_tensor(picture, encoder.manifest.input)])
        return watch.seconds() * 1000

    return min(once() for _ in range(_TIMED_ROUNDS))


def _score(found: _Collected, labels: NDArray[np.str_], truth: Truth) -> ScoreSpec | None:
    """As `afterimage encoders calibrate`: where strangers begin, and copies end where they were measured."""
    if len(labels) < LEAST_TO_CALIBRATE:
        return None
    vectors = np.stack(found.originals).astype(np.float64)
    rows, columns = np.triu_indices(len(vectors), 1)
    apart = labels[rows] != labels[columns]
    rows, columns = rows[apart], columns[apart]
    if len(rows) > _MOST_PAIRS:
        chosen = np.random.default_rng(_SEED).choice(len(rows), _MOST_PAIRS, replace=False)
        rows, columns = rows[chosen], columns[chosen]
    strangers = np.sort(1 - np.einsum("nd,nd->n", vectors[rows], vectors[columns]))
    if truth is Truth.GROUPS:
        return score_of(strangers)
    to_copies = np.maximum(0, 1 - np.einsum("nd,ned->ne", vectors, np.stack(found.copies).astype(np.float64)))
    return score_of(strangers, np.sort(to_copies.ravel()))
