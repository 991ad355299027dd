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

from service.training.evaluation import Floats, Judgement, Labels, Split, divide, judge, precisions

_STEPS, _RATE, _TEMPERATURE, _BATCH, _MOMENTUM = 100, 0.02, 0.1, 256, 0.9
_SEED = 5


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


def _strangers(vectors: Floats, labels: Labels) -> Floats:
    rows = np.random.default_rng(_SEED).permutation(len(vectors))[:600]
    apart = 1 - vectors[rows] @ vectors[rows].T
    found: Floats = np.sort(apart[labels[rows][:, None] != labels[rows][None]])
    return found


def _unit(vectors: Floats) -> Floats:
    found: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return found
