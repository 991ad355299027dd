"""Weights and scores that a collection learns: values, calls, and conversion from messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from afterimage.client.calls import Call
from afterimage.client.convert import to_calibration, to_collection
from afterimage.client.values import Collection, ScoreCalibration
from afterimage.v1 import collection_service_pb2 as pb


@dataclass(frozen=True)
class WeightReport:
    """What learned weights of blocks are worth on products that had no say in them.

    - quality_before, quality_after: mean of 1 / rank of the first record of the same product.
    - gain_low, gain_high: interval of the gain, with a confidence of 99 %.
    - first_hit_before, first_hit_after: share of searches whose first hit is the same product.
    - copies_before, copies_after: share of near-duplicates that find each other first; None if there are none.
    - doubt: why the weights are not beyond doubt; empty: they are.
    """

    weights: dict[str, float]
    quality_before: float
    quality_after: float
    gain_low: float
    gain_high: float
    first_hit_before: float
    first_hit_after: float
    copies_before: float | None
    copies_after: float | None
    search_count: int
    product_count: int
    doubt: str


@dataclass(frozen=True)
class ReliabilityBin:
    """Hits with a score from `low` to below `high`, and the share of them that are the same product."""

    low: float
    high: float
    pair_count: int
    mean_score: float
    same_product_share: float


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration by the collection's own records is worth on products held out.

    - calibration: None if none could be measured.
    - loss_before, loss_after: mean surprise of a hit in nats, by the present and by the new scores.
    - doubt: why it is not beyond doubt; empty: it is.
    """

    calibration: ScoreCalibration | None
    loss_before: float
    loss_after: float
    gain_low: float
    gain_high: float
    pair_count: int
    same_product_count: int
    reliability_before: tuple[ReliabilityBin, ...]
    reliability_after: tuple[ReliabilityBin, ...]
    doubt: str


@dataclass(frozen=True)
class Tuning:
    """The result of a tuning. weights, calibration: None after an undo. changed: whether something was changed."""

    weights: WeightReport | None
    calibration: CalibrationReport | None
    changed: bool
    collection: Collection
    record_count: int


@dataclass(frozen=True)
class LabelledPair:
    """Two records by id, and whether they are the same product."""

    first: str
    second: str
    same_product: bool


@dataclass(frozen=True)
class DistanceThreshold:
    """What a limit of distance does to labelled pairs. precision: share of the pairs within it that are the same
    product. recall: share of the pairs of the same product that are within it."""

    max_distance: float
    score: float
    precision: float
    recall: float


@dataclass(frozen=True)
class PairCalibration:
    """Precision and recall by distance, rising, and the calibration that the pairs give. best: the highest F1."""

    thresholds: tuple[DistanceThreshold, ...]
    best: DistanceThreshold
    calibration: ScoreCalibration
    changed: bool
    missing_record_ids: tuple[str, ...]
    pair_count: int


def tune_collection(name: str, *, apply: bool = False, undo: bool = False, timeout_s: float = 300.0) -> Call[Tuning]:
    """Measures what learned weights and scores would gain on products held out. Changes nothing without `apply`.

    - apply: use what is beyond doubt.
    - undo: return to the state before the last change of weights or calibration, instead of measuring.
    """
    request = pb.TuneCollectionRequest(name=name, apply=apply, undo=undo)
    return Call(
        "CollectionService", "TuneCollection", request, _to_tuning,
        retry_safe=not (apply or undo), timeout_s=timeout_s,
    )  # fmt: skip


def calibrate_collection(
    name: str, pairs: Sequence[LabelledPair] = (), *, apply: bool = False, timeout_s: float = 300.0
) -> Call[PairCalibration]:
    """Measures precision and recall by distance on labelled pairs of records.

    - pairs: up to 10,000, with 20 of the same product and 20 of different ones; empty: those of `judge_pairs`.
    - apply: calibrate the scores of the collection by them.
    """
    messages = [
        pb.LabelledPair(first_record_id=p.first, second_record_id=p.second, same_product=p.same_product) for p in pairs
    ]
    request = pb.CalibrateCollectionRequest(name=name, pairs=messages, apply=apply)
    return Call("CollectionService", "CalibrateCollection", request, _to_pairs, timeout_s=timeout_s)


def _to_tuning(message: pb.TuneCollectionResponse) -> Tuning:
    return Tuning(
        _to_weights(message.weights) if message.HasField("weights") else None,
        _to_report(message.calibration) if message.HasField("calibration") else None,
        message.changed,
        to_collection(message.collection),
        message.record_count,
    )


def _to_weights(message: pb.WeightReport) -> WeightReport:
    return WeightReport(
        dict(sorted(message.weights.items())),
        message.quality_before,
        message.quality_after,
        message.gain_low,
        message.gain_high,
        message.first_hit_before,
        message.first_hit_after,
        message.copies_before if message.HasField("copies_before") else None,
        message.copies_after if message.HasField("copies_after") else None,
        message.search_count,
        message.product_count,
        message.doubt,
    )


def _to_report(message: pb.CalibrationReport) -> CalibrationReport:
    return CalibrationReport(
        to_calibration(message.calibration) if message.HasField("calibration") else None,
        message.loss_before,
        message.loss_after,
        message.gain_low,
        message.gain_high,
        message.pair_count,
        message.same_product_count,
        tuple(_to_bin(b) for b in message.reliability_before),
        tuple(_to_bin(b) for b in message.reliability_after),
        message.doubt,
    )


def _to_bin(message: pb.ReliabilityBin) -> ReliabilityBin:
    return ReliabilityBin(message.low, message.high, message.pair_count, message.mean_score, message.same_product_share)


def _to_pairs(message: pb.CalibrateCollectionResponse) -> PairCalibration:
    return PairCalibration(
        tuple(_to_threshold(t) for t in message.thresholds),
        _to_threshold(message.best),
        to_calibration(message.calibration),
        message.changed,
        tuple(message.missing_record_ids),
        message.pair_count,
    )


def _to_threshold(message: pb.DistanceThreshold) -> DistanceThreshold:
    return DistanceThreshold(message.max_distance, message.score, message.precision, message.recall)
