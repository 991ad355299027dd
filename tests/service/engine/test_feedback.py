"""The similarity of a query and records in each block of the vector."""

from __future__ import annotations

import numpy as np
import pytest

from service.encoder.manifest import BlockSpec
from service.engine.feedback import block_similarities


@pytest.mark.parametrize("sizes", [(7,), (1, 6), (2, 2, 3), (1, 1, 1, 1, 1, 1, 1)])
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_they_are_the_dot_products_of_the_parts_and_add_up_to_the_cosine(sizes: tuple[int, ...], rows: int) -> None:
    chance = np.random.default_rng(rows)
    query = chance.standard_normal(7).astype(np.float32)
    vectors = chance.standard_normal((rows, 7)).astype(np.float32)
    blocks = [BlockSpec(name=f"b{n}", size=size, share=0.1) for n, size in enumerate(sizes)]
    found = block_similarities(query, vectors, blocks)
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    parts = [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    plain = [[sum(float(query[i]) * float(row[i]) for i in part) for part in parts] for row in vectors]
    assert found.shape == (rows, len(sizes))
    np.testing.assert_allclose(found, np.array(plain).reshape(rows, len(sizes)), rtol=1e-9)
    np.testing.assert_allclose(found.sum(1), block_similarities(query, vectors, [])[:, 0], rtol=1e-9)
