"""Conversion of `max_distance` and `min_score` to the maximum distance for the index."""

import numpy as np

from service.encoder.manifest import ScoreSpec
from service.engine.query import distance_limit

SCORE = ScoreSpec(midpoint=0.3, width=0.07)


def limit_of(max_distance: float | None = None, min_score: float | None = None) -> float | None:
    return distance_limit(max_distance, min_score, SCORE)


def test_a_hit_is_within_the_limits_that_its_own_answer_tells() -> None:
    for told in np.random.default_rng(5).uniform(0.01, 1.2, 1000).astype(np.float32):
        distance, score = float(told), float(np.float32(SCORE.score(float(told))))
        for limits in (
            {"max_distance": distance},
            {"min_score": score},
            {"max_distance": distance, "min_score": score},
        ):
            limit = limit_of(**limits)
            assert limit is not None
            assert told <= limit
            beyond = np.nextafter(np.float32(limit), np.float32(3))
            too_far = beyond > limits.get("max_distance", 2.0)
            too_low = np.float32(SCORE.score(float(beyond))) < limits.get("min_score", 0.0)
            assert too_far or too_low or beyond > 2


def test_limits_that_leave_out_nothing_or_everything() -> None:
    assert limit_of() is None
    assert limit_of(max_distance=2.0) == 2.0
    assert limit_of(min_score=0.0) == 2.0
    assert limit_of(max_distance=0.0) == 0.0
    nearest = limit_of(min_score=1.0)
    assert nearest is not None
    assert nearest >= 0.0
