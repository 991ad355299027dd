"""Chooses weights of the blocks by cross-validation over products, and says what they are worth on products held out.

A query is a record; what it should find is another record of its product. The quality of an order is the mean over
queries of 1 / rank of the first such record. The products are dealt into FOLDS parts. The weights that are best for the
others are applied to each part, so that the gain is measured on products that had no say. Its interval comes from a
paired bootstrap over products. The weights that are reported are the best ones for all products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.encoder.manifest import BlockSpec

FOLDS, RESAMPLES = 5, 2000
LEAST_PRODUCTS = 20
CONFIDENCE = 0.99
STEPS = (0.125, 0.18, 0.25, 0.35, 0.5, 0.71, 1.0, 1.4, 2.0, 2.8, 4.0, 5.7, 8.0)
_PASSES = 3  # over the blocks
_PLAIN = 0.005  # a gain below this is not worth another order
_LOST_COPIES = 0.01
_FEW = 3.0  # few groups look more alike than they are: the interval of n of them is wider by this share of n
Floats = NDArray[np.floating]
Weights = tuple[float, ...]


@dataclass(frozen=True)
class Sample:
    """Records to choose weights on.

    - `vectors`: as they are compared without weights, float32, shape (n, dimension).
    - `products`: the product of each, int64, shape (n,); -1 for a record without one.
    - `queries`: rows that are searched with: their products have further rows.
    - `copies`: pairs of rows that are altered copies of one picture, shape (m, 2): what each should still find first.
    """

    vectors: NDArray[np.float32]
    products: NDArray[np.int64]
    queries: NDArray[np.int64]
    copies: NDArray[np.int64]


@dataclass(frozen=True)
class Gain:
    """What weights are worth on products held out.

    - `before`, `after`: mean of 1 / rank of the first record of the same product, 0 to 1.
    - `low`, `high`: interval of the gain, at CONFIDENCE.
    - `first_before`, `first_after`: share of the queries whose first hit is of the same product.
    - `copies_before`, `copies_after`: share of the copies that find each other first; None without copies.
    """

    before: float
    after: float
    low: float
    high: float
    first_before: float
    first_after: float
    queries: int
    products: int
    copies_before: float | None = None
    copies_after: float | None = None


@dataclass(frozen=True)
class Choice:
    """Weights by block name, with their gain. `doubt`: why they are not beyond doubt; empty: they are."""

    weights: Mapping[str, float]
    gain: Gain | None
    doubt: str


def choose_weights(
    sample: Sample, blocks: Sequence[BlockSpec], starts: Sequence[Mapping[str, float]] = (), seed: int = 0
) -> Choice:
    """The best weights, and whether they are beyond doubt. starts: further weights to begin with, such as those that
    feedback suggests."""
    names = [b.name for b in blocks]
    products = np.unique(sample.products[sample.queries])
    if len(names) < 2:
        return Choice({}, None, "the encoder has no two named blocks to weigh")
    if len(products) < LEAST_PRODUCTS:
        return Choice(
            {}, None, f"{len(products)} products have two or more records; at least {LEAST_PRODUCTS} are needed"
        )
    ranks = _Ranks(sample, blocks)
    begin = [(1.0,) * len(names), *(tuple(float(s.get(n, 1.0)) for n in names) for s in starts)]
    gain = _held_out(ranks, products, begin, seed)
    best = ranks.best(begin, np.ones(len(sample.queries), np.bool_))
    plain = (1.0,) * len(names)
    if len(sample.copies):
        gain = _with_copies(gain, ranks.copies_found(plain), ranks.copies_found(best))
    return Choice(dict(zip(names, best, strict=True)), gain, _doubt(gain, best == plain))


def _doubt(gain: Gain, unchanged: bool) -> str:
    if unchanged:
        return "equal weights are the best ones"
    if gain.low <= 0:
        return "the gain on products held out may be none"
    if gain.after - gain.before < _PLAIN:
        return "the gain on products held out is negligible"
    if (gain.copies_after or 0) < (gain.copies_before or 0) - _LOST_COPIES:
        return "altered copies would be found less often"
    return ""


def _held_out(ranks: _Ranks, products: NDArray[np.int64], begin: Sequence[Weights], seed: int) -> Gain:
    rng = np.random.default_rng(seed)
    of_query = ranks.sample.products[ranks.sample.queries]
    fold_of = dict(zip(rng.permutation(products).tolist(), np.arange(len(products)) % FOLDS, strict=True))
    fold = np.array([fold_of[p] for p in of_query.tolist()])
    before = ranks.of(begin[0])
    after = np.empty_like(before)
    for part in range(FOLDS):
        aside = fold == part
        after[aside] = ranks.of(ranks.best(begin, ~aside))[aside]
    low, high = bootstrapped(1 / after - 1 / before, of_query, rng)
    return Gain(
        float((1 / before).mean()), float((1 / after).mean()), low, high, float((before == 1).mean()),
        float((after == 1).mean()), len(before), len(products),
    )  # fmt: skip


def bootstrapped(gains: Floats, groups: NDArray[np.int64], rng: np.random.Generator) -> tuple[float, float]:
    """The interval of the mean of gains, shape (n,), at CONFIDENCE. Those of one group are drawn together."""
    _, place = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(place, gains), np.bincount(place).astype(float)
    drawn = rng.integers(0, len(sums), (RESAMPLES, len(sums)))
    mean, means = sums.sum() / counts.sum(), sums[drawn].sum(1) / counts[drawn].sum(1)
    edge, wider = (1 - CONFIDENCE) / 2, 1 + _FEW / len(sums)
    low, high = (mean + wider * (np.quantile(means, q) - mean) for q in (edge, 1 - edge))
    return float(low), float(high)


def _with_copies(gain: Gain, before: float, after: float) -> Gain:
    return replace(gain, copies_before=before, copies_after=after)


class _Ranks:
    """Ranks under weights: the likeness of each query and record is a sum over blocks, computed once for each."""

    def __init__(self, sample: Sample, blocks: Sequence[BlockSpec]) -> None:
        self.sample = sample
        ends = np.cumsum([b.size for b in blocks])
        self._ranges = [slice(int(end) - b.size, int(end)) for b, end in zip(blocks, ends, strict=True)]
        queries = sample.vectors[sample.queries]
        self._likeness = np.stack([queries[:, r] @ sample.vectors[:, r].T for r in self._ranges])
        rows = np.arange(len(sample.queries))
        self._likeness[:, rows, sample.queries] = -np.inf
        self._same = sample.products[sample.queries][:, None] == sample.products[None, :]
        self._same[rows, sample.queries] = False
        self._known: dict[Weights, NDArray[np.float64]] = {}

    def of(self, weights: Weights) -> NDArray[np.float64]:
        """The rank of the first right record of each query, from 1, shape (queries,). Records that tie come before."""
        if weights not in self._known:
            likeness = self._weighted(weights)
            best = np.where(self._same, likeness, -np.inf).max(1)
            others = (likeness >= best[:, None]) & ~self._same
            self._known[weights] = 1.0 + others.sum(1)
        return self._known[weights]

    def best(self, begin: Sequence[Weights], chosen: NDArray[np.bool_]) -> Weights:
        """The best weights for some of the queries, a block at a time; equal weights where none are better."""

        def quality(weights: Weights) -> float:
            return float((1 / self.of(weights)[chosen]).mean())

        return max((_climbed(start, quality) for start in begin), key=quality)

    def copies_found(self, weights: Weights) -> float:
        """The share of the copies whose other half is the nearest record."""
        scale = np.repeat(np.array(weights), [r.stop - r.start for r in self._ranges]).astype(np.float32)
        rows, others = self.sample.copies.T
        likeness = (self.sample.vectors[rows] * scale) @ self.sample.vectors.T
        likeness[np.arange(len(rows)), rows] = -np.inf
        return float((likeness[np.arange(len(rows)), others] >= likeness.max(1) - 1e-6).mean())

    def _weighted(self, weights: Weights) -> NDArray[np.float32]:
        total = np.float32(weights[0]) * self._likeness[0]
        for weight, likeness in zip(weights[1:], self._likeness[1:], strict=True):
            total += np.float32(weight) * likeness
        return np.asarray(total, np.float32)


def _climbed(start: Weights, quality: Callable[[Weights], float]) -> Weights:
    """The best weights that a change of one block at a time leads to, in steps of STEPS; the last block stays."""
    best, reached = start, quality(start)
    for _ in range(_PASSES):
        before = best
        for place in range(len(best) - 1):
            for step in STEPS:
                tried = (*best[:place], step, *best[place + 1 :])
                if quality(tried) > reached + 1e-9:
                    best, reached = tried, quality(tried)
        if best == before:
            break
    return best
