"""Messages of tuning and calibration."""

from __future__ import annotations

from collections.abc import Sequence

from afterimage.v1 import collection_service_pb2 as pb
from afterimage.v1 import types_pb2 as types_pb
from service.tuning.calibration import Calibration, CalibrationSource, Likeness
from service.tuning.curve import ReliabilityBin
from service.tuning.thresholds import Threshold
from service.tuning.tuner import ScoreChoice
from service.tuning.weights import Choice

LIKENESS = {word: types_pb.Likeness.Value(f"LIKENESS_{word.value}") for word in Likeness}
CALIBRATIONS = {
    source: types_pb.CalibrationSource.Value(f"CALIBRATION_SOURCE_{source.value}") for source in CalibrationSource
}


def from_calibration(calibration: Calibration) -> types_pb.ScoreCalibration:
    """Returns the message of a calibration."""
    limits = calibration.limits
    return types_pb.ScoreCalibration(
        source=CALIBRATIONS[calibration.source],
        midpoint=calibration.curve.midpoint,
        width=calibration.curve.width,
        same_picture_distance=limits[Likeness.SAME_PICTURE],
        same_product_distance=limits[Likeness.SAME_PRODUCT],
        very_alike_distance=limits[Likeness.VERY_ALIKE],
        alike_distance=limits[Likeness.ALIKE],
        pair_count=calibration.pairs,
    )


def from_choice(choice: Choice) -> pb.WeightReport:
    """Returns the report on weights."""
    report = pb.WeightReport(weights=choice.weights, doubt=choice.doubt)
    gain = choice.gain
    if gain is not None:
        report.quality_before, report.quality_after = gain.before, gain.after
        report.gain_low, report.gain_high = gain.low, gain.high
        report.first_hit_before, report.first_hit_after = gain.first_before, gain.first_after
        report.search_count, report.product_count = gain.queries, gain.products
        if gain.copies_before is not None and gain.copies_after is not None:
            report.copies_before, report.copies_after = gain.copies_before, gain.copies_after
    return report


def from_score_choice(choice: ScoreChoice) -> pb.CalibrationReport:
    """Returns the report on a calibration."""
    return pb.CalibrationReport(
        calibration=None if choice.calibration is None else from_calibration(choice.calibration),
        loss_before=choice.loss_before,
        loss_after=choice.loss_after,
        gain_low=choice.low,
        gain_high=choice.high,
        pair_count=choice.pairs,
        same_product_count=choice.same,
        reliability_before=_from_bins(choice.bins_before),
        reliability_after=_from_bins(choice.bins),
        doubt=choice.doubt,
    )


def from_threshold(threshold: Threshold) -> pb.DistanceThreshold:
    """Returns the message of a threshold."""
    return pb.DistanceThreshold(
        max_distance=threshold.max_distance,
        score=threshold.score,
        precision=threshold.precision,
        recall=threshold.recall,
    )


def _from_bins(bins: Sequence[ReliabilityBin]) -> list[pb.ReliabilityBin]:
    return [
        pb.ReliabilityBin(low=b.low, high=b.high, pair_count=b.pairs, mean_score=b.score, same_product_share=b.share)
        for b in bins
    ]
