"""Tunes a collection by its own records: weights of the blocks, and the calibration of its scores.

Both are measured on products held out before they are used. Scores are measured on real searches: a record of a product
is searched with, and each of its first hits is of the same product or is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from index import Collection, SearchAnswer, StoredRecord
from service.encoder.manifest import BlockSpec
from service.tuning.calibration import Calibration, CalibrationSource
from service.tuning.curve import (
    Floats,
    LabelledDistances,
    ReliabilityBin,
    fitted_curve,
    losses,
    reliability,
    scores_of,
)
from service.tuning.drawn import HITS, weighted
from service.tuning.reading import ReadRecords, read_records, to_sample
from service.tuning.thresholds import calibrated
from service.tuning.weights import FOLDS, LEAST_PRODUCTS, Choice, bootstrapped, choose_weights

LEAST_SAME = 50
_SEARCHES = 400
_SEED = 23
Search = Callable[[StoredRecord, Mapping[str, float], int], SearchAnswer]


@dataclass(frozen=True)
class ScoreChoice:
    """A calibration of the collection's own, and what it is worth on products held out.

    - `loss_before`, `loss_after`: mean surprise of a pair in nats, by the scores of now and by the new ones.
    - `low`, `high`: interval of the difference. `bins`: how reliable the new scores are; `bins_before`: those of now.
    - `doubt`: why the new ones are not beyond doubt; empty: they are.
    """

    calibration: Calibration | None
    pairs: int
    same: int
    loss_before: float
    loss_after: float
    low: float
    high: float
    bins: tuple[ReliabilityBin, ...]
    bins_before: tuple[ReliabilityBin, ...]
    doubt: str


@dataclass(frozen=True)
class Report:
    """What tuning found: nothing was changed. records: that were read."""

    records: int
    weights: Choice
    scores: ScoreChoice


@dataclass(frozen=True)
class Subject:
    """A collection to tune.

    - `search`: the first hits of a record under weights by block, itself left out. Called from the thread of `tune`.
    - `weights`: that its searches have now. `calibration`: that its scores have under given weights, if they stay as
      they are.
    - `suggested`: weights to begin with, such as feedback suggests.
    """

    collection: Collection
    blocks: Sequence[BlockSpec]
    search: Search
    weights: Mapping[str, float]
    calibration: Callable[[Mapping[str, float]], Calibration]
    suggested: tuple[Mapping[str, float], ...] = ()


def tune(subject: Subject) -> Report:
    """Reads and searches the collection for seconds; blocks. Raises what its reading and searching raise."""
    read = read_records(subject.collection)
    near = subject.calibration({}).curve.near_duplicate_distance
    if not read.records:
        nothing = Choice({}, None, "the collection is empty")
        return Report(0, nothing, _no_scores(0, "the collection is empty"))
    centred = subject.collection.stats().learned
    sample = to_sample(read, near, centred=centred)
    choice = choose_weights(sample, subject.blocks, subject.suggested)
    used = choice.weights if not choice.doubt else subject.weights
    return Report(len(read.records), choice, choose_calibration(subject, read, used))


def choose_calibration(subject: Subject, read: ReadRecords, weights: Mapping[str, float]) -> ScoreChoice:
    """The calibration of searches under weights, measured by searching with records of products of several records."""
    rows = np.random.default_rng(_SEED).permutation(read.queries)[:_SEARCHES]
    pairs = _searched(subject, read, rows.tolist(), weights)
    before, same = subject.calibration(weights), int(pairs.same.sum())
    groups = np.unique(pairs.groups)
    if len(groups) < LEAST_PRODUCTS or same < LEAST_SAME or len(pairs.same) - same < LEAST_SAME:
        message = (
            f"{len(groups)} products and {same} hits of the same product; at least {LEAST_PRODUCTS} and {LEAST_SAME} "
            "are needed, and as many other hits"
        )
        return _no_scores(len(pairs.same), message, same)
    rng = np.random.default_rng(_SEED)
    fold = dict(zip(rng.permutation(groups).tolist(), np.arange(len(groups)) % FOLDS, strict=True))
    part = np.array([fold[g] for g in pairs.groups.tolist()])
    near = before.curve.near_duplicate_distance
    after, scores = np.zeros(len(part)), np.zeros(len(part))
    for number in range(FOLDS):
        aside = part == number
        curve = fitted_curve(pairs.of(~aside), near)
        after[aside] = losses(curve, pairs.of(aside))
        scores[aside] = scores_of(curve, pairs.distances[aside])
    lost = losses(before.curve, pairs)
    low, high = bootstrapped(lost - after, pairs.groups, rng)
    curve = fitted_curve(pairs, near)
    strangers, count = strangers_among(read, subject.blocks, weights), len(pairs.same)
    found = calibrated(CalibrationSource.PRODUCTS, curve, strangers, count)
    return ScoreChoice(
        found, count, same, float(lost.mean()), float(after.mean()), low, high, tuple(reliability(scores, pairs.same)),
        tuple(reliability(scores_of(before.curve, pairs.distances), pairs.same)),
        "" if low > 0 else "the scores of now may be as good on products held out",
    )  # fmt: skip


def _no_scores(pairs: int, doubt: str, same: int = 0) -> ScoreChoice:
    return ScoreChoice(None, pairs, same, 0.0, 0.0, 0.0, 0.0, (), (), doubt)


def _searched(
    subject: Subject, read: ReadRecords, rows: Sequence[int], weights: Mapping[str, float]
) -> LabelledDistances:
    distances: list[float] = []
    same: list[bool] = []
    groups: list[int] = []
    numbers: dict[str, int] = {}
    for record in [read.records[row] for row in rows]:
        product = read.product_of(record)
        group = numbers.setdefault(product, len(numbers))
        for hit in subject.search(record, weights, HITS).hits:
            distances.append(hit.distance)
            same.append(read.product_of(hit.record) == product)
            groups.append(group)
    return LabelledDistances(np.array(distances), np.array(same, np.bool_), np.array(groups, np.int64))


def strangers_among(
    read: ReadRecords, blocks: Sequence[BlockSpec], weights: Mapping[str, float], most: int = 1000
) -> Floats:
    """Distances of pairs of records of different products, drawn at random, under weights."""
    rng = np.random.default_rng(_SEED)
    chosen = [read.records[row] for row in rng.permutation(len(read.records))[:most].tolist()]
    vectors = weighted(np.stack([r.vector for r in chosen if r.vector is not None]), blocks, weights)
    _, products = np.unique([read.product_of(r) or f" {r.row_id}" for r in chosen], return_inverse=True)
    rows, others = np.triu_indices(len(chosen), 1)
    different = products[rows] != products[others]
    return np.asarray(1 - (vectors @ vectors.T)[rows, others][different], np.float64)
