"""From `max_distance` and `min_score` to the largest distance that the index is asked for."""

import numpy as np
import pytest

from service.encoder.manifest import BlockSpec, ScoreSpec
from service.engine.emphasis import EmphasisedQuery, emphasised
from service.engine.query import QueryTerm, SearchInput, farthest

SCORE = ScoreSpec(midpoint=0.3, width=0.07)
BLOCKS = (BlockSpec(name="colour", size=4, share=0.2), BlockSpec(name="shape", size=12, share=0.8))


def limited(**limits: float) -> SearchInput:
    return SearchInput("c", (QueryTerm(),), 10, **limits)


def queries() -> list[EmphasisedQuery]:
    chance = np.random.default_rng(3)
    vectors = [v / np.linalg.norm(v) for v in chance.standard_normal((6, 16)).astype(np.float32)]
    weights = [{}, {"shape": 0.0}, {"colour": 4.0}, {"colour": 0.0}, {"shape": 0.2, "colour": 9.0}, {"shape": 2.0}]
    return [
        emphasised((v / np.linalg.norm(v)).astype(np.float32), BLOCKS, w) for v, w in zip(vectors, weights, strict=True)
    ]


@pytest.mark.parametrize("asked", queries())
def test_a_hit_is_within_the_limits_that_its_own_answer_tells(asked: EmphasisedQuery) -> None:
    for found in np.random.default_rng(5).uniform(0.01, 1.2, 300).astype(np.float32):
        distance = asked.distance(float(found))
        told, score = float(np.float32(distance)), float(np.float32(SCORE.score(distance)))
        for limits in ({"max_distance": told}, {"min_score": score}, {"max_distance": told, "min_score": score}):
            limit = farthest(limited(**limits), SCORE, asked)
            assert limit is not None
            assert found <= limit
            beyond = np.nextafter(np.float32(limit), np.float32(3))
            further = asked.distance(float(beyond))
            too_far = np.float32(further) > limits.get("max_distance", 2.0)
            too_low = np.float32(SCORE.score(further)) < limits.get("min_score", 0.0)
            assert too_far or too_low or beyond > 2


def test_limits_that_leave_out_nothing_or_everything() -> None:
    plain = EmphasisedQuery(np.ones(16, np.float32))
    assert farthest(limited(), SCORE, plain) is None
    assert farthest(limited(max_distance=2.0), SCORE, plain) == 2.0
    assert farthest(limited(min_score=0.0), SCORE, plain) == 2.0
    assert farthest(limited(max_distance=0.0), SCORE, plain) == 0.0
    assert farthest(limited(min_score=1.0), SCORE, plain) >= 0.0
    far = EmphasisedQuery(np.ones(16, np.float32), scale=0.5)  # even an equal row is at a distance of a half
    assert farthest(limited(max_distance=0.4), SCORE, far) == -1.0
