"""Weights chosen by cross-validation over products."""

import numpy as np
import pytest

from service.encoder.manifest import BlockSpec
from service.tuning.reading import copies_among
from service.tuning.weights import LEAST_PRODUCTS, Choice, Sample, bootstrapped, choose_weights

BLOCKS = (BlockSpec(name="colour", size=8, share=0.2), BlockSpec(name="shape", size=24, share=0.8))
NO_COPIES = np.zeros((0, 2), np.int64)


def sample(colour_noise: float, shape_noise: float, products: int = 60, seed: int = 0) -> Sample:
    """Products with two pictures each, which differ by noise in each block."""
    rng = np.random.default_rng(seed)
    parts = []
    for block, noise in zip(BLOCKS, (colour_noise, shape_noise), strict=True):
        own = np.repeat(rng.standard_normal((products, block.size)), 2, axis=0)
        part = own + noise * rng.standard_normal(own.shape)
        parts.append(part / np.linalg.norm(part, axis=1, keepdims=True) * block.share**0.5)
    vectors = np.concatenate(parts, 1).astype(np.float32)
    return Sample(vectors, np.repeat(np.arange(products), 2), np.arange(2 * products), NO_COPIES)


def chosen(colour_noise: float, shape_noise: float, products: int = 60) -> Choice:
    return choose_weights(sample(colour_noise, shape_noise, products), BLOCKS)


def test_the_block_that_tells_products_apart_gets_more_weight_and_the_gain_is_beyond_doubt() -> None:
    found = chosen(0.5, 3.0)
    assert found.doubt == ""
    assert found.weights["colour"] > 2 * found.weights["shape"]
    assert found.gain is not None
    assert found.gain.after - found.gain.before > 0.1
    assert 0 < found.gain.low < found.gain.after - found.gain.before < found.gain.high
    assert (found.gain.queries, found.gain.products) == (120, 60)


def test_where_both_blocks_are_as_good_nothing_is_beyond_doubt() -> None:
    assert chosen(0.1, 0.1).doubt


@pytest.mark.parametrize("seed", range(6))
def test_products_without_meaning_never_give_weights_beyond_doubt(seed: int) -> None:
    before = sample(0.5, 3.0)
    order = np.random.default_rng(seed).permutation(len(before.products))
    shuffled = Sample(before.vectors, before.products[order], before.queries, NO_COPIES)
    assert choose_weights(shuffled, BLOCKS).doubt


def test_few_products_are_named_as_the_reason_and_nothing_is_measured() -> None:
    found = chosen(0.5, 3.0, products=LEAST_PRODUCTS - 1)
    assert found.gain is None
    assert found.weights == {}
    assert f"at least {LEAST_PRODUCTS}" in found.doubt


def test_an_encoder_with_one_block_has_nothing_to_weigh() -> None:
    whole = (BlockSpec(name="all", size=32, share=1.0),)
    assert "no two named blocks" in choose_weights(sample(0.5, 3.0), whole).doubt
    assert "no two named blocks" in choose_weights(sample(0.5, 3.0), ()).doubt


def test_weights_that_lose_altered_copies_are_in_doubt() -> None:
    made = sample(0.5, 3.0, products=100)
    copies = made.vectors.copy()
    rng = np.random.default_rng(1)
    copies[:, :8] = rng.standard_normal((len(copies), 8)) * (0.2 / 8) ** 0.5  # copies in another colour
    vectors = np.concatenate([made.vectors, copies])
    products = np.concatenate([made.products, np.full(len(copies), -1)])
    pairs = np.stack([np.arange(len(copies)), np.arange(len(copies)) + len(copies)], 1)
    found = choose_weights(Sample(vectors, products, made.queries, pairs), BLOCKS)
    assert found.gain is not None
    assert found.gain.copies_after is not None
    assert found.gain.copies_after < (found.gain.copies_before or 0)
    assert found.doubt == "altered copies would be found less often"


def test_weights_that_somebody_suggests_are_tried_as_well() -> None:
    made = sample(0.5, 3.0)
    plain, suggested = choose_weights(made, BLOCKS), choose_weights(made, BLOCKS, [{"colour": 30.0, "shape": 1.0}])
    assert suggested.gain is not None
    assert plain.gain is not None
    assert suggested.gain.after >= plain.gain.after - 0.02


def test_the_interval_of_a_gain_draws_the_searches_of_a_product_together() -> None:
    rng = np.random.default_rng(0)
    gains = np.repeat(rng.standard_normal(50), 20)  # twenty searches of a product tell no more than one
    low, high = bootstrapped(gains, np.repeat(np.arange(50), 20), np.random.default_rng(1))
    alone = bootstrapped(gains, np.arange(len(gains)), np.random.default_rng(1))
    assert high - low > 3 * (alone[1] - alone[0])


def test_copies_are_pairs_that_are_near_and_nearest_to_each_other() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((700, 32))
    vectors[650] = vectors[3] + 0.01
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert copies_among(vectors.astype(np.float32), 0.05).tolist() == [[3, 650]]
