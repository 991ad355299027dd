from typing import Any

import numpy as np
import pytest

from service.encoder.manifest import BlockSpec
from service.engine.emphasis import Emphasis, emphasised, without_absent_blocks
from service.errors import ServiceError

BLOCKS = (BlockSpec(name="colour", size=4, share=0.2), BlockSpec(name="shape", size=12, share=0.8))


def vectors(seed: int, count: int) -> np.ndarray:
    """Vectors whose blocks have the lengths that BLOCKS states."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(count, b.size)) for b in BLOCKS]
    scaled = [p / np.linalg.norm(p, axis=1, keepdims=True) * b.share**0.5 for p, b in zip(parts, BLOCKS, strict=True)]
    return np.concatenate(scaled, axis=1).astype(np.float32)


def weighted_distances(query: np.ndarray, stored: np.ndarray, colour: float, shape: float) -> np.ndarray:
    """The definition: cosine distance after every number is multiplied by the root of its weight."""
    root = np.sqrt(np.repeat([colour, shape], [4, 12]))
    q, x = query * root, stored * root
    return 1 - (x @ q) / np.linalg.norm(q) / np.linalg.norm(x, axis=1)


@pytest.mark.parametrize(("colour", "shape"), [(1, 1), (4, 1), (1, 0), (0, 1), (0.5, 3), (100, 0.01)])
def test_the_distance_is_that_of_the_weighted_cosine(colour: float, shape: float) -> None:
    stored, query = vectors(1, 200), vectors(2, 1)[0]
    asked = emphasised(query, BLOCKS, {"colour": colour, "shape": shape})
    assert np.linalg.norm(asked.vector) == pytest.approx(1, abs=1e-6)
    found = 1 - asked.scale * (stored @ asked.vector)
    assert np.allclose(found, weighted_distances(query, stored, colour, shape), atol=1e-5)


def test_a_query_that_is_a_sum_of_vectors_is_weighed_like_any_other() -> None:
    stored, terms = vectors(3, 100), vectors(4, 2)
    query = terms[0] - 0.3 * terms[1]
    query /= np.linalg.norm(query)
    asked = emphasised(query, BLOCKS, {"colour": 5})
    found = 1 - asked.scale * (stored @ asked.vector)
    assert np.allclose(found, weighted_distances(query, stored, 5, 1), atol=1e-5)


def test_a_picture_stays_at_distance_zero_from_itself() -> None:
    own = vectors(5, 1)[0]
    for emphasis in ({"colour": 9.0}, {"shape": 0.0}, {"colour": 0.0}):
        asked = emphasised(own, BLOCKS, emphasis)
        assert 1 - asked.scale * float(own @ asked.vector) == pytest.approx(0, abs=1e-5)


def test_without_emphasis_the_query_is_left_as_it_is() -> None:
    own = vectors(6, 1)[0]
    asked = emphasised(own, (), {})
    assert asked.vector is own
    assert asked.scale == 1.0


def test_a_query_of_one_block_is_compared_by_that_block_alone() -> None:
    stored, query = vectors(9, 200), vectors(10, 1)[0]
    query[4:] = 0
    query /= np.linalg.norm(query)
    emphasis = without_absent_blocks(Emphasis(), query, BLOCKS, {})
    assert (emphasis.weights, emphasis.by_distance) == ({"shape": 0.0}, True)
    asked = emphasised(query, BLOCKS, emphasis.weights)
    found = 1 - asked.scale * (stored @ asked.vector)
    assert np.allclose(found, weighted_distances(query, stored, 1, 0), atol=1e-5)


def test_weights_that_are_named_hold_for_blocks_that_a_query_lacks() -> None:
    whole, part = vectors(11, 1)[0], vectors(11, 1)[0]
    part[4:] = 0
    learned = Emphasis({"colour": 3.0}, of_collection=True, learned=True)
    assert without_absent_blocks(learned, whole, BLOCKS, {}) is learned
    assert without_absent_blocks(learned, part, BLOCKS, {}) == Emphasis({"colour": 3.0, "shape": 0.0}, learned=True)
    named = Emphasis({"shape": 2.0})
    assert without_absent_blocks(named, part, BLOCKS, named.weights) is named
    assert without_absent_blocks(Emphasis(), part, (), {}) == Emphasis()
    assert without_absent_blocks(Emphasis(), np.zeros(16, np.float32), BLOCKS, {}) == Emphasis()


@pytest.mark.parametrize(
    ("blocks", "emphasis", "message"),
    [
        (BLOCKS, {"color": 1.0}, "no block 'color'; this collection's encoder has colour, shape"),
        (BLOCKS, {"colour": -1.0}, "0 to 100"),
        (BLOCKS, {"colour": 101.0}, "0 to 100"),
        (BLOCKS, {"colour": float("nan")}, "0 to 100"),
        (BLOCKS, {"colour": 0.0, "shape": 0.0}, "the query vector is zero"),
        ((), {"colour": 1.0}, "no named blocks"),
    ],
)
def test_a_wrong_emphasis_is_refused_with_the_reason(blocks: Any, emphasis: dict[str, float], message: str) -> None:
    with pytest.raises(ServiceError, match=message) as caught:
        emphasised(vectors(8, 1)[0], blocks, emphasis)
    assert caught.value.field == "emphasis"
