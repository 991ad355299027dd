"""Weights that feedback suggests."""

import numpy as np
import pytest

from index import FeedbackSums
from service.encoder.manifest import BlockSpec
from service.tuning.feedback import LEAST_CALLS, suggested_weights

BLOCKS = (BlockSpec(name="colour", size=4, share=0.2), BlockSpec(name="shape", size=12, share=0.8))
NAMES = ("colour", "shape")


def sums(calls: int, colour: float, shape: float, names: tuple[str, ...] = NAMES) -> FeedbackSums:
    """Feedback in which liked records are nearer than disliked ones by these similarities in each block, with noise."""
    rng = np.random.default_rng(0)
    total = FeedbackSums.none(names)
    for _ in range(calls):
        noise = 0.02 * rng.standard_normal((2, 2))
        total = total.plus(FeedbackSums.over(names, noise[:1] + np.array([colour, shape]), noise[1:]))
    return total


def test_the_block_that_tells_liked_from_disliked_records_is_suggested_to_count_more() -> None:
    (found,) = suggested_weights(sums(100, 0.08, 0.01), BLOCKS)
    assert found["colour"] > 2 * found["shape"]
    (other,) = suggested_weights(sums(100, 0.001, 0.1), BLOCKS)
    assert other["colour"] < other["shape"] / 2


@pytest.mark.parametrize(
    "feedback", [None, sums(LEAST_CALLS - 1, 0.1, 0.1), sums(100, 0.1, 0.1, ("one", "two")), sums(100, -0.1, -0.1)]
)
def test_little_feedback_or_feedback_of_other_blocks_suggests_nothing(feedback: FeedbackSums | None) -> None:
    assert suggested_weights(feedback, BLOCKS) == ()
