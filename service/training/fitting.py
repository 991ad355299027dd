"""Fitting a linear projection to labelled vectors, and judging it on examples that it has not seen.

Supervised whitening: with S the covariance within labels, directions in which pictures of one label differ are shrunk
(Mikolajczyk and Matas, "Improving descriptors for fast tree matching by optimal linear projection", ICCV 2007); those
in which the labels' means differ are stretched (linear discriminant analysis). How far is chosen on held-out examples,
as is whether a few steps of neighbourhood components analysis (Goldberger et al., "Neighbourhood components analysis",
NIPS 2004), in which the nearest of other labels weigh most, improve on it. What is chosen is judged on a third part,
once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
K = 10
SMALLEST_GAIN = 0.01  # of mAP@10; less is not worth another encoder
LEAST_QUERIES = 20
_SPLIT_WITHIN = 10  # labels with so many examples are divided; smaller ones go to one part whole
_SHARES = (0.6, 0.8)
_MOST_QUERIES = 4000
_RESAMPLES, _CONFIDENCE = 2000, 0.01
_STEPS, _RATE, _TEMPERATURE, _BATCH, _MOMENTUM = 100, 0.02, 0.1, 256, 0.9
_SEED = 5


class TooFewExamples(Exception):
    """There is too little to fit by, or to judge by."""


@dataclass(frozen=True)
class Shape:
    """What is chosen. shrinkage: added to every direction's variance, in mean variances; power: how far differences
    within labels are evened out, 0 to 0.5; stretch: of the directions between labels; refined: followed by steps with
    hard negatives."""

    shrinkage: float
    power: float
    stretch: float = 0.0
    refined: bool = False


@dataclass(frozen=True)
class Projection:
    """v -> (v - mean) @ matrix, then to length 1. mean: (d,); matrix: (d, d)."""

    mean: Floats
    matrix: Floats

    def apply(self, vectors: Floats) -> Floats:
        """(n, d) as (n, d), each of length 1."""
        return _unit((vectors - self.mean) @ self.matrix)


@dataclass(frozen=True)
class Parts:
    """Rows to fit by, to choose by, and to judge by."""

    fit: NDArray[np.int64]
    choose: NDArray[np.int64]
    judge: NDArray[np.int64]


@dataclass(frozen=True)
class Judgement:
    """Of held-out examples, each asked for among the others: before and after. gain_low: what the gain in mAP@10 is at
    least, with 99 % confidence over the queries. Shares, 0 to 1."""

    queries: int
    before: dict[str, float]
    after: dict[str, float]
    gain_low: float

    @property
    def publishable(self) -> bool:
        """Whether the projection is better beyond doubt."""
        gain = self.after["mAP@10"] - self.before["mAP@10"]
        return gain >= SMALLEST_GAIN and self.gain_low > 0 and self.after["R@1"] >= self.before["R@1"]


@dataclass(frozen=True)
class Fitted:
    """A projection, what was chosen, and how it does. strangers: cosine distances of held-out examples of different
    labels under it."""

    projection: Projection
    shape: Shape
    judgement: Judgement
    strangers: Floats


def fit(vectors: Floats, labels: Labels) -> Fitted:
    """The best projection for labelled vectors, (n, d) of length 1. Raises TooFewExamples."""
    parts = divide(labels, np.random.default_rng(_SEED))
    x, y = vectors.astype(np.float64), labels
    shape = choose(x, y, parts)
    known = np.concatenate([parts.fit, parts.choose])
    projection = project(x[known], y[known], shape)
    judged = x[parts.judge]
    after = projection.apply(judged)
    return Fitted(projection, shape, judge(judged, after, y[parts.judge]), _strangers(after, y[parts.judge]))


def divide(labels: Labels, chance: np.random.Generator) -> Parts:
    """Divides examples into three parts. Raises TooFewExamples where a part cannot tell better from worse."""
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
    found = Parts(*(np.array(sorted(p), np.int64) for p in parts))
    for rows in (found.choose, found.judge):
        asked = int(_askable(labels[rows]).sum())
        if asked < LEAST_QUERIES or len(np.unique(labels[rows])) < 2:
            raise TooFewExamples(
                f"{len(labels)} examples of {len(names)} labels leave {asked} for evaluation; "
                f"{LEAST_QUERIES} of at least two labels are needed. Add labels, or use ten or more "
                "examples per label"
            )
    return found


def choose(x: Floats, y: Labels, parts: Parts) -> Shape:
    """The shape that does best on the examples to choose by."""
    few_labels = len(np.unique(y[parts.fit])) - 1 <= x.shape[1] // 2
    shapes = [
        Shape(shrinkage, power, stretch)
        for shrinkage in (1.0, 3.0, 10.0) for power in (0.25, 0.5)
        for stretch in ((0.0, 1.0, 3.0) if few_labels else (0.0,))
    ]  # fmt: skip
    held, names = x[parts.choose], y[parts.choose]

    def score(shape: Shape) -> float:
        return float(precisions(project(x[parts.fit], y[parts.fit], shape).apply(held), names)[0].mean())

    scores = [score(shape) for shape in shapes]
    best = shapes[int(np.argmax(scores))]
    refined = Shape(best.shrinkage, best.power, best.stretch, refined=True)
    return refined if score(refined) > max(scores) else best


def project(x: Floats, y: Labels, shape: Shape) -> Projection:
    """A projection of one shape."""
    mean = x.mean(0)
    names, places = np.unique(y, return_inverse=True)
    middles = np.stack([x[places == n].mean(0) for n in range(len(names))])
    apart = x - middles[places]
    within = apart.T @ apart / max(1, len(x) - len(names))
    values, axes = np.linalg.eigh(within)
    values = np.maximum(values, 0) + shape.shrinkage * max(float(np.trace(within)) / len(within), 1e-12)
    matrix = (axes * values**-shape.power) @ axes.T
    if shape.stretch:
        moved = (middles - mean) @ matrix
        _, _, between = np.linalg.svd(moved - moved.mean(0), full_matrices=False)
        between = between[: max(1, len(names) - 1)]
        matrix = matrix + shape.stretch * (matrix @ between.T) @ between
    matrix *= np.sqrt(len(matrix)) / np.linalg.norm(matrix)
    return Projection(mean, refine(x - mean, y, matrix) if shape.refined else matrix)


def refine(x: Floats, y: Labels, matrix: Floats) -> Floats:
    """Steps of neighbourhood components analysis: each batch's examples are drawn to those of their label and pushed
    from others, the nearest of which weigh most."""
    chance, momentum = np.random.default_rng(_SEED), np.zeros_like(matrix)
    for _ in range(_STEPS):
        rows = chance.permutation(len(x))[:_BATCH]
        made = x[rows] @ matrix
        lengths = np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
        unit = made / lengths
        chances = _chances(unit)
        same = y[rows][:, None] == y[rows][None]
        right = np.where(same, chances, 0.0)
        right /= np.maximum(right.sum(1, keepdims=True), 1e-12)
        pull = (chances - right) * right.any(1, keepdims=True) / (_TEMPERATURE * len(rows))
        slope = pull @ unit + pull.T @ unit
        slope = (slope - (slope * unit).sum(1, keepdims=True) * unit) / lengths
        momentum = _MOMENTUM * momentum + x[rows].T @ slope
        matrix = matrix - _RATE * np.sqrt(len(matrix)) * momentum
    return matrix


def _chances(unit: Floats) -> Floats:
    """With which chance each example picks each other one as its neighbour."""
    near = unit @ unit.T / _TEMPERATURE
    np.fill_diagonal(near, -np.inf)
    chances = np.exp(near - near.max(1, keepdims=True))
    found: Floats = chances / chances.sum(1, keepdims=True)
    return found


def judge(before: Floats, after: Floats, labels: Labels) -> Judgement:
    """Two views of the same held-out examples, side by side."""
    (old, old_first), (new, new_first) = precisions(before, labels), precisions(after, labels)
    gains, chance = new - old, np.random.default_rng(_SEED)
    means = [gains[chance.integers(0, len(gains), len(gains))].mean() for _ in range(_RESAMPLES)]
    return Judgement(
        len(gains), {"mAP@10": float(old.mean()), "R@1": float(old_first.mean())},
        {"mAP@10": float(new.mean()), "R@1": float(new_first.mean())}, float(np.quantile(means, _CONFIDENCE)),
    )  # fmt: skip


def precisions(vectors: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """AP@10, and whether the nearest is right, of each example that has another of its label, asked for among the
    others; at most 4,000 of them."""
    asked = np.flatnonzero(_askable(labels))
    if len(asked) > _MOST_QUERIES:
        asked = np.random.default_rng(_SEED).choice(asked, _MOST_QUERIES, replace=False)
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


def _strangers(vectors: Floats, labels: Labels) -> Floats:
    rows = np.random.default_rng(_SEED).permutation(len(vectors))[:600]
    apart = 1 - vectors[rows] @ vectors[rows].T
    found: Floats = np.sort(apart[labels[rows][:, None] != labels[rows][None]])
    return found


def _unit(vectors: Floats) -> Floats:
    found: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found
