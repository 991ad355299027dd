"""Curves from distances to scores, words for likeness, thresholds, and what a collection keeps of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.encoder.manifest import ScoreSpec
from service.tuning.calibration import Calibration, CalibrationSource, Likeness
from service.tuning.curve import LabelledDistances, fitted_curve, losses, reliability, scores_of
from service.tuning.thresholds import LEAST_PAIRS, TooFewPairs, best_threshold, calibration_of_pairs, thresholds
from service.tuning.tuning import Tuning, tuning_of

DISTANCES = st.floats(0, 2)


def pairs(midpoint: float, width: float, count: int = 20_000, seed: int = 0) -> LabelledDistances:
    """Pairs that are the same product with the chance that a curve gives."""
    rng = np.random.default_rng(seed)
    distances = rng.uniform(0, 1.2, count)
    chance = scores_of(ScoreSpec(midpoint=midpoint, width=width), distances)
    return LabelledDistances(distances, rng.random(count) < chance, np.arange(count))


@pytest.mark.parametrize(("midpoint", "width"), [(0.3, 0.07), (0.5, 0.12), (0.8, 0.2)])
def test_half_of_the_pairs_with_a_score_of_a_half_are_the_same_product(midpoint: float, width: float) -> None:
    curve = fitted_curve(pairs(midpoint, width), 0.1)
    fresh = pairs(midpoint, width, seed=1)
    scores = scores_of(curve, fresh.distances)
    middle = (scores > 0.4) & (scores < 0.6)
    assert fresh.same[middle].mean() == pytest.approx(0.5, abs=0.05)
    for tenth in reliability(scores, fresh.same):
        assert tenth.share == pytest.approx(tenth.score, abs=0.06)
    assert curve.near_duplicate_distance == 0.1


def test_a_fitted_curve_surprises_less_than_another_one() -> None:
    found = pairs(0.6, 0.1)
    curve, other = fitted_curve(found, 0.1), ScoreSpec(midpoint=0.3, width=0.07)
    assert losses(curve, found).mean() < losses(other, found).mean() - 0.05
    assert np.isfinite(losses(other, found)).all()


@given(st.lists(DISTANCES, min_size=2, max_size=20), st.floats(0.01, 1.5), st.floats(0.01, 0.5))
def test_scores_fall_with_the_distance_and_words_never_rise_again(
    distances: list[float], midpoint: float, width: float
) -> None:
    calibration = Calibration.of_encoder(ScoreSpec(midpoint=midpoint, width=width))
    words, ordered = list(Likeness), sorted(distances)
    scores = [calibration.score(d) for d in ordered]
    assert scores == sorted(scores, reverse=True)
    places = [words.index(calibration.likeness(d)) for d in ordered]
    assert places == sorted(places)
    limits = list(calibration.limits.values())
    assert limits == sorted(limits)


def test_words_follow_the_limits_that_are_told() -> None:
    curve = ScoreSpec(midpoint=0.5, width=0.07, near_duplicate_distance=0.12)
    calibration = Calibration(CalibrationSource.DRAWN, curve, 0.7, 0.85)
    for word, most in calibration.limits.items():
        assert calibration.likeness(most) is word
        assert calibration.likeness(math.nextafter(most, 2)) is not word
    assert calibration.likeness(2.0) is Likeness.NOT_ALIKE
    assert calibration.score(calibration.limits[Likeness.SAME_PRODUCT]) == pytest.approx(0.5, abs=1e-6)


def test_thresholds_agree_with_counting() -> None:
    found = pairs(0.5, 0.1, count=400)
    rows = thresholds(found.distances, found.same, ScoreSpec())
    for row in rows:
        within = found.distances <= row.max_distance
        assert row.precision == pytest.approx(found.same[within].mean())
        assert row.recall == pytest.approx(within[found.same].mean())
    assert [r.recall for r in rows] == sorted(r.recall for r in rows)
    assert rows[-1].recall == 1.0
    assert best_threshold(rows).f1 == max(r.f1 for r in rows)


@pytest.mark.parametrize(("same", "other"), [(LEAST_PAIRS - 1, 100), (100, LEAST_PAIRS - 1), (0, 0)])
def test_too_few_pairs_of_either_kind_are_refused_with_their_numbers(same: int, other: int) -> None:
    labels = np.array([True] * same + [False] * other, np.bool_)
    with pytest.raises(TooFewPairs, match=f"{same} pairs of the same product and {other}"):
        calibration_of_pairs(np.linspace(0, 1, same + other), labels, 0.1)


def test_a_tuning_survives_being_written() -> None:
    calibration = Calibration(CalibrationSource.PAIRS, ScoreSpec(midpoint=0.4), 0.6, 0.8, 50)
    tuning = Tuning().with_weights({"colour": 4.0}, learned=True).with_calibration(calibration)
    assert tuning_of(tuning.to_text()) == tuning
    assert Tuning().to_text() == ""
    assert tuning_of("") == Tuning()


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"calibration": {"source": "LATER"}}', '{"weights": 3}', "null"])
def test_what_another_version_wrote_leaves_searches_as_they_are_without_a_tuning(text: str) -> None:
    assert tuning_of(text) == Tuning()


def test_an_undo_returns_to_the_state_before_and_a_second_one_back_again() -> None:
    before = Tuning({"shape": 2.0})
    after = before.with_weights({"colour": 4.0}, learned=True)
    assert after.undone().state == before
    assert after.undone().undone().state == after.state
    assert Tuning().undone() == Tuning()
