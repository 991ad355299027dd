import numpy as np
import pytest

from bench.inversion.learnt import TooFewProducts, of_mean, of_own_model, of_weights
from bench.inversion.membership import LOOKALIKES, UNALTERED, Suspects, altered, judged, membership
from bench.inversion.representations import COMPARABLE, unit
from index.vectors.ann.signatures import SignatureEncoder
from service.encoder.alterations import ALTERATIONS
from service.encoder.manifest import BlockSpec

BLOCKS = (BlockSpec(name="colour", size=4, share=0.5), BlockSpec(name="shape", size=4, share=0.5))


def vectors(count: int, seed: int, dimension: int = 48) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(0, 1, (count, dimension)).astype(np.float32))


def near(rows: np.ndarray, far: float, seed: int = 9) -> np.ndarray:
    return unit(rows + far * vectors(len(rows), seed, rows.shape[1]))


def test_a_copy_is_told_from_strangers_and_a_changed_one_less_well() -> None:
    collection = vectors(300, 1)
    members = {UNALTERED: collection[:80], "a little": near(collection[:80], 0.3), "much": vectors(80, 5)}
    others = {UNALTERED: vectors(80, 2), "a little": vectors(80, 3)}
    suspects = Suspects(members, others, near(collection[:80], 0.5))
    found = membership(suspects, collection, SignatureEncoder.of_sample(collection))
    assert list(found) == list(COMPARABLE)
    for by_edit in found.values():
        assert by_edit[UNALTERED] == {"auc": 1.0, "tpr": 100.0}
        assert by_edit["a little"]["auc"] > 0.99
        assert 0.35 < by_edit["much"]["auc"] < 0.65
        assert by_edit[LOOKALIKES]["auc"] == 1.0


def test_pictures_are_altered_in_every_way_and_kept_as_they_are() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    made = altered([picture, picture])
    assert list(made) == [UNALTERED, *ALTERATIONS]
    assert np.array_equal(made[UNALTERED][1], picture)
    assert all(len(pictures) == 2 for pictures in made.values())


def test_the_mean_of_few_vectors_tells_who_is_in_it_and_that_of_many_does_not() -> None:
    rows = vectors(6000, 1, 64)
    few, many = of_mean(rows, 20, draws=5), of_mean(rows, 2900, draws=5)
    assert few["auc"] > 0.85
    assert 0.45 < many["auc"] < 0.58
    assert few["draws"] == 5


def test_weights_of_two_blocks_tell_nothing_of_a_product() -> None:
    colour, shape = vectors(60, 1, 4), vectors(60, 2, 4)
    first = unit(np.concatenate([colour, shape], 1))
    second = unit(np.concatenate([near(colour, 0.2, 3), near(shape, 1.5, 4)], 1))
    assert 0.4 < of_weights(first, second, BLOCKS, draws=4)["auc"] < 0.6
    with pytest.raises(TooFewProducts, match="half of 39 products"):
        of_weights(first[:39], second[:39], BLOCKS)


def test_an_own_model_tells_what_it_was_fitted_to_by_its_mean_and_less_the_more_there_were() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 1800)
    rows = unit(vectors(1800, 1, 64) + 0.8 * vectors(4, 2, 64)[labels])
    few, many = (of_own_model(rows, labels, examples, draws=1)["auc"] for examples in (30, 140))
    assert few > many + 0.05
    assert many > 0.5


def test_figures_are_of_scores_that_are_higher_for_members() -> None:
    members, others = np.array([3.0, 2, 1]), np.arange(200) / 100
    assert judged(members, others) == {"auc": pytest.approx((200 + 200 + 100.5) / 600, abs=1e-3), "tpr": 66.7}
