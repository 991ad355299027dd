"""Membership in what a collection has learnt: its mean, the weights of its blocks, and an own model.

The attacker knows what was learnt, and asks of each candidate whether it was learnt from. Candidates that were not are
of the same kinds. Figures are means over random draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.inversion.membership import judged
from bench.inversion.representations import Floats
from service.encoder.manifest import BlockSpec
from service.training.evaluation import divide
from service.training.fitting import fit
from service.tuning.weights import LEAST_PRODUCTS, Sample, choose_weights

Scores = tuple[NDArray[np.floating], NDArray[np.floating]]  # of members, of others
Labels = NDArray[np.int64]
Figures = dict[str, float]
MEAN_ROWS = (30, 150, 700)
_DRAWS, _CANDIDATES, _SEED = 10, 300, 5
_SPLIT_SEED = 5  # by which `fit` divides examples


class TooFewProducts(Exception):
    """There are too few products to learn weights from half of them."""


def of_mean(vectors: Floats, rows: int, draws: int = _DRAWS) -> Figures:
    """From the mean of some rows. The attacker knows the mean of all vectors, shape (n, d), and takes how far a
    candidate leans towards the mean of the collection (Homer et al., 2008)."""
    usual = vectors.mean(axis=0)

    def draw(rng: np.random.Generator) -> Scores:
        order = rng.permutation(len(vectors))
        learnt = vectors[order[:rows]].mean(axis=0) - usual
        leaning = (vectors - usual) @ learnt
        return leaning[order[:rows]][:_CANDIDATES], leaning[order[rows:]][:_CANDIDATES]

    return _over(draws, draw)


def of_weights(first: Floats, second: Floats, blocks: Sequence[BlockSpec], draws: int = _DRAWS) -> Figures:
    """From the weights that half of the products choose: how much better they find a product. `first`, `second`: two
    pictures of each product, shape (n, d). Raises TooFewProducts where nothing would be learnt."""
    if len(first) < 2 * LEAST_PRODUCTS:
        raise TooFewProducts(f"half of {len(first)} products choose no weights")
    everything = np.concatenate([first, second])
    products = np.tile(np.arange(len(first)), 2)
    sizes = [b.size for b in blocks]

    def ranks(weights: Sequence[float]) -> NDArray[np.float64]:
        scale = np.repeat(np.asarray(weights, np.float32), sizes)
        likeness = (first * scale) @ second.T
        return 1 / (1.0 + (likeness > np.diag(likeness)[:, None]).sum(axis=1))

    def draw(rng: np.random.Generator) -> Scores:
        member = np.isin(np.arange(len(first)), rng.permutation(len(first))[: len(first) // 2])
        rows = np.flatnonzero(member[products])
        sample = Sample(everything[rows], products[rows], np.arange(len(rows)), np.empty((0, 2), np.int64))
        chosen = choose_weights(sample, blocks).weights
        better = ranks([chosen.get(b.name, 1.0) for b in blocks]) - ranks([1.0] * len(blocks))
        return better[member], better[~member]

    return _over(draws, draw)


def of_own_model(vectors: Floats, labels: Labels, examples: int, draws: int = 3) -> Figures:
    """From an own model, by the mean of its examples that it holds. A third of the rows is the attacker's own and says
    what is usual. `examples`: of each label, to fit. Raises TooFewExamples."""

    def draw(rng: np.random.Generator) -> Scores:
        own, others, shown = np.array_split(rng.permutation(len(vectors)), 3)
        chosen = np.concatenate([shown[labels[shown] == n][:examples] for n in np.unique(labels)])
        model = fit(vectors[chosen].astype(np.float64), labels[chosen]).projection
        parts = divide(labels[chosen], np.random.default_rng(_SPLIT_SEED))
        members = chosen[np.concatenate([parts.fit, parts.choose])]
        usual = vectors[own].mean(axis=0)
        leaning = (vectors - usual) @ (model.mean - usual)
        return leaning[members], leaning[others]

    return _over(draws, draw)


def _over(draws: int, draw: Callable[[np.random.Generator], Scores]) -> Figures:
    """Mean figures over draws."""
    found = [judged(*draw(np.random.default_rng([_SEED, n]))) for n in range(draws)]
    return {name: round(float(np.mean([f[name] for f in found])), 3) for name in found[0]} | {"draws": draws}
