"""Evaluation of a projection: the split into parts, and retrieval quality on the held-out one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SEED = 5
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
K = 10
SMALLEST_GAIN = 0.01  # of mAP@10; a smaller gain does not justify another encoder
LEAST_QUERIES = 20
_SPLIT_WITHIN = 10  # labels with at least this many examples are split; smaller ones go entirely to one part
_SHARES = (0.6, 0.8)
_MAX_QUERIES = 4000
_RESAMPLES, _CONFIDENCE = 2000, 0.01


class TooFewExamples(Exception):
    """There are not enough examples to fit or to evaluate."""


@dataclass(frozen=True)
class Split:
    """Row indices for fitting, selection and evaluation."""

    fit: NDArray[np.int64]
    choose: NDArray[np.int64]
    judge: NDArray[np.int64]


@dataclass(frozen=True)
class Judgement:
    """Retrieval quality on held-out examples before and after, each queried among the others. Shares, 0 to 1.

    `gain_low`: lower bound of the gain in mAP@10, with 99 % confidence over the queries.
    """

    queries: int
    before: dict[str, float]
    after: dict[str, float]
    gain_low: float

    @property
    def publishable(self) -> bool:
        """Whether the projection is significantly better."""
        gain = self.after["mAP@10"] - self.before["mAP@10"]
        return gain >= SMALLEST_GAIN and self.gain_low > 0 and self.after["R@1"] >= self.before["R@1"]


def divide(labels: Labels, chance: np.random.Generator) -> Split:
    """Splits examples into three parts. Raises TooFewExamples if a part is too small to compare projections."""
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    names = np.unique(labels)
    for name in chance.permutation(names):
        rows = chance.permutation(np.flatnonzero(labels == name))
        count = len(rows)
        if count >= _SPLIT_WITHIN:
            first, second = (round(count * share) for share in _SHARES)
            pieces = (rows[:first], rows[first:second], rows[second:])
        else:
            place = 0 if count < 2 else int(np.searchsorted(_SHARES, chance.random()))
            pieces = tuple(rows if n == place else rows[:0] for n in range(3))  # type: ignore[assignment]
        for part, piece in zip(parts, pieces, strict=True):
            part.extend(piece.tolist())
    found = Split(*(np.array(sorted(p), np.int64) for p in parts))
    for rows in (found.choose, found.judge):
        asked = int(_askable(labels[rows]).sum())
        if asked < LEAST_QUERIES or len(np.unique(labels[rows])) < 2:
            raise TooFewExamples(
                f"{len(labels)} examples of {len(names)} labels leave {asked} for evaluation; "
                f"{LEAST_QUERIES} of at least two labels are needed. Add labels, or use ten or more "
                "examples per label"
            )
    return found


def judge(before: Floats, after: Floats, labels: Labels) -> Judgement:
    """Evaluates two representations of the same held-out examples."""
    (old, old_first), (new, new_first) = precisions(before, labels), precisions(after, labels)
    gains, chance = new - old, np.random.default_rng(_SEED)
    means = [gains[chance.integers(0, len(gains), len(gains))].mean() for _ in range(_RESAMPLES)]
    return Judgement(
        len(gains), {"mAP@10": float(old.mean()), "R@1": float(old_first.mean())},
        {"mAP@10": float(new.mean()), "R@1": float(new_first.mean())}, float(np.quantile(means, _CONFIDENCE)),
    )  # fmt: skip


def precisions(vectors: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """AP@10, and whether the nearest example has the same label, for each example whose label occurs again.

    Each is queried among the others. At most 4,000 are used.
    """
    asked = np.flatnonzero(_askable(labels))
    if len(asked) > _MAX_QUERIES:
        asked = np.random.default_rng(_SEED).choice(asked, _MAX_QUERIES, replace=False)
    likeness = vectors[asked] @ vectors.T
    likeness[np.arange(len(asked)), asked] = -np.inf
    k = min(K, len(vectors) - 1)
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
    right = (labels[nearest] == labels[asked][:, None]).astype(np.float64)
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    relevant = counts[places][asked] - 1
    at = right.cumsum(1) / np.arange(1, k + 1)
    return (at * right).sum(1) / np.minimum(relevant, k), right[:, 0]


def _askable(labels: Labels) -> NDArray[np.bool_]:
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    found: NDArray[np.bool_] = counts[places] > 1
    return found
