"""A projection is published only if it is better on held-out examples."""

import numpy as np
import pytest

from service.training.evaluation import TooFewExamples, divide, judge, precisions
from service.training.fitting import Shape, fit, project

DIMENSION = 48


def clouds(labels: int, each: int, *, seed: int = 1, noise: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Labelled vectors whose labels differ in few directions, with more variance in others."""
    chance = np.random.default_rng(seed)
    middles = np.zeros((labels, DIMENSION))
    middles[:, :8] = chance.standard_normal((labels, 8))
    names = np.repeat(np.arange(labels), each)
    spread = np.concatenate([np.full(8, 0.6), np.full(DIMENSION - 8, noise)])
    vectors = middles[names] + chance.standard_normal((len(names), DIMENSION)) * spread
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), names


def test_labels_that_mean_something_are_learnt() -> None:
    fitted = fit(*clouds(8, 60))
    judgement = fitted.judgement
    assert judgement.publishable
    assert judgement.after["mAP@10"] > judgement.before["mAP@10"] + 0.1
    assert judgement.gain_low > 0
    assert np.allclose(np.linalg.norm(fitted.projection.apply(clouds(8, 2)[0]), axis=1), 1)


@pytest.mark.parametrize("seed", range(8))
def test_labels_that_mean_nothing_are_not_published(seed: int) -> None:
    vectors, labels = clouds(8, 40)
    shuffled = np.random.default_rng(seed).permutation(labels)
    assert not fit(vectors, shuffled).judgement.publishable


def test_pairs_are_learnt_with_whole_labels_held_out() -> None:
    vectors, labels = clouds(300, 2, noise=0.5)
    parts = divide(labels, np.random.default_rng(0))
    for one, other in ((parts.fit, parts.choose), (parts.fit, parts.judge), (parts.choose, parts.judge)):
        assert not set(labels[one]) & set(labels[other])
    assert fit(vectors, labels).judgement.after["mAP@10"] > 0


def test_no_example_is_in_two_parts_and_large_labels_are_in_all() -> None:
    _, labels = clouds(5, 30)
    parts = divide(labels, np.random.default_rng(0))
    rows = np.concatenate([parts.fit, parts.choose, parts.judge])
    assert sorted(rows.tolist()) == list(range(150))
    assert all(len(set(labels[p])) == 5 for p in (parts.fit, parts.choose, parts.judge))


@pytest.mark.parametrize(("labels", "each"), [(1, 500), (2, 5), (100, 1), (3, 12)])
def test_too_few_examples_are_refused(labels: int, each: int) -> None:
    with pytest.raises(TooFewExamples, match="needed"):
        fit(*clouds(labels, each))


def test_precision_is_that_of_a_hand_made_example() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0, 1]])
    found, first = precisions(vectors, np.array([0, 1, 0, 1]))
    # by inner product the other of its label comes second for 0, third for 1, first for 2, second for 3
    assert found == pytest.approx([1 / 2, 1 / 3, 1, 1 / 2])
    assert first.tolist() == [0, 0, 1, 0]


def test_equal_views_have_no_gain() -> None:
    vectors, labels = clouds(4, 20)
    judgement = judge(vectors, vectors, labels)
    assert (judgement.before, judgement.gain_low, judgement.publishable) == (judgement.after, 0.0, False)


def test_vectors_that_are_all_the_same_do_not_break_it() -> None:
    same = np.tile(np.eye(DIMENSION)[0], (60, 1))
    projection = project(same, np.repeat(np.arange(3), 20), Shape(1.0, 0.5, 3.0))
    assert np.isfinite(projection.matrix).all()
