"""Validation of records and queries."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.types.checks import all_normalised, normalised
from index.types.errors import InvalidInput
from tests.support.data.collections import DIMENSION, vector


@pytest.mark.parametrize("scale", [1e-8, 0.5, 1.0001, 3.0, 1e8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_vector_of_any_length_and_type_comes_out_with_length_1(scale: float, dtype: type) -> None:
    given: NDArray[Any] = (vector(1).astype(np.float64) / np.linalg.norm(vector(1)) * scale).astype(dtype)
    before = given.copy()
    found = normalised("query", given, DIMENSION)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert abs(float(np.linalg.norm(found.astype(np.float64))) - 1) < 1e-6
    assert np.array_equal(given, before)


def test_a_vector_of_length_1_is_taken_as_it_is_unless_it_lies_scattered() -> None:
    unit = normalised("query", vector(1), DIMENSION)
    assert normalised("query", unit, DIMENSION) is unit
    scattered = np.repeat(unit, 2)[::2]
    found = normalised("query", scattered, DIMENSION)
    assert found.flags.c_contiguous
    assert np.allclose(found, unit, atol=1e-7)


@pytest.mark.parametrize(
    "given",
    [
        np.zeros(DIMENSION),
        np.full(DIMENSION, np.nan),
        np.full(DIMENSION, np.inf),
        np.full(DIMENSION, 1e-30),
        np.ones(DIMENSION - 1),
    ],
)
def test_what_has_no_direction_or_another_dimension_is_refused(given: np.ndarray) -> None:
    with pytest.raises(InvalidInput) as refused:
        normalised("query", given.astype(np.float32), DIMENSION)
    assert refused.value.field == "query"


@pytest.mark.parametrize("size", [1e-11, 1e-3, 1.0, 1e10, 1e18, 1e19, 1e30, 1e38, 3e38])
def test_a_vector_of_any_size_keeps_its_direction(size: float) -> None:
    direction = np.linspace(0.1, 1.0, DIMENSION)
    given = (direction * size).astype(np.float32)
    wanted = direction / np.linalg.norm(direction)
    assert np.allclose(normalised("query", given, DIMENSION), wanted, atol=1e-6)
    (stored,) = all_normalised([given], DIMENSION)
    assert isinstance(stored, np.ndarray)
    assert np.allclose(stored, wanted, atol=1e-6)
