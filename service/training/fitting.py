"""Fits a linear projection to labelled vectors, and evaluates it on held-out examples.

Supervised whitening, with S the covariance within labels, shrinks directions in which pictures of one label differ
(Mikolajczyk and Matas, "Improving descriptors for fast tree matching by optimal linear projection", ICCV 2007). Linear
discriminant analysis stretches directions in which the means of labels differ. A few steps of neighbourhood components
analysis (Goldberger et al., "Neighbourhood components analysis", NIPS 2004) may follow, in which the nearest examples
of other labels weigh most.

A held-out part selects how far each is applied. The selected projection is evaluated once, on a third part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
K = 10
SMALLEST_GAIN = 0.01  # of mAP@10; a smaller gain does not justify another encoder
LEAST_QUERIES = 20
_SPLIT_WITHIN = 10  # labels with at least this many examples are split; smaller ones go entirely to one part
_SHARES = (0.6, 0.8)
_MAX_QUERIES = 4000
_RESAMPLES, _CONFIDENCE = 2000, 0.01
_STEPS, _RATE, _TEMPERATURE, _BATCH, _MOMENTUM = 100, 0.02, 0.1, 256, 0.9
_SEED = 5


class TooFewExamples(Exception):
    """There are not enough examples to fit or to evaluate."""


@dataclass(frozen=True)
class Shape:
    """The selected parameters.

    - `shrinkage`: added to the variance of every direction, in multiples of the mean variance.
    - `power`: how far differences within labels are equalised, 0 to 0.5.
    - `stretch`: of the directions between labels.
    - `refined`: followed by gradient steps with hard negatives.
    """

    shrinkage: float
    power: float
    stretch: float = 0.0
    refined: bool = False


@dataclass(frozen=True)
class Projection:
    """v -> (v - mean) @ matrix, then normalised to length 1. `mean`: shape (d,). `matrix`: shape (d, d)."""

    mean: Floats
    matrix: Floats

    def apply(self, vectors: Floats) -> Floats:
        """Projects vectors of shape (n, d) to unit vectors of shape (n, d)."""
        return _unit((vectors - self.mean) @ self.matrix)


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


@dataclass(frozen=True)
class Fitted:
    """A projection, its parameters and its evaluation.

    `strangers`: cosine distances of held-out examples of different labels under the projection.
    """

    projection: Projection
    shape: Shape
    judgement: Judgement
    strangers: Floats


def fit(vectors: Floats, labels: Labels) -> Fitted:
    """The best projection for labelled unit vectors of shape (n, d). Raises TooFewExamples."""
    parts = divide(labels, np.random.default_rng(_SEED))
    x, y = vectors.astype(np.float64), labels
    shape = choose(x, y, parts)
    known = np.concatenate([parts.fit, parts.choose])
    projection = project(x[known], y[known], shape)
    judged = x[parts.judge]
    after = projection.apply(judged)
    return Fitted(projection, shape, judge(judged, after, y[parts.judge]), _strangers(after, y[parts.judge]))


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


def choose(x: Floats, y: Labels, parts: Split) -> Shape:
    """The parameters with the best result on the selection part."""
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
    """The projection for given parameters."""
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
    """Gradient steps of neighbourhood components analysis.

    Each example of a batch is attracted to those of its label and repelled from others, the nearest of which weigh
    most.
    """
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
    """The probability with which each example selects each other one as its neighbour."""
    near = unit @ unit.T / _TEMPERATURE
    np.fill_diagonal(near, -np.inf)
    chances = np.exp(near - near.max(1, keepdims=True))
    found: Floats = chances / chances.sum(1, keepdims=True)
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


def _strangers(vectors: Floats, labels: Labels) -> Floats:
    rows = np.random.default_rng(_SEED).permutation(len(vectors))[:600]
    apart = 1 - vectors[rows] @ vectors[rows].T
    found: Floats = np.sort(apart[labels[rows][:, None] != labels[rows][None]])
    return found


def _unit(vectors: Floats) -> Floats:
    found: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found
