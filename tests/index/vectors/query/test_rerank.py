from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from index.vectors.query.gathered_rows import SignatureRows
from index.vectors.query.rerank import compared, promising
from index.vectors.segment.view import View
from tests.support.data.collections import SPEC, directory, loaded, record, vector

ROWS = 6000


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    """The view of a collection of ROWS records with an ANN index; no test changes it."""
    tenant = directory(tmp_path_factory.mktemp("rerank"))
    collection = tenant.create(SPEC)
    for start in range(0, ROWS, 1000):
        collection.upsert([record(n) for n in range(start, start + 1000)])
    collection.build_ann_index()
    yield loaded(collection).index.view
    tenant.close()


def recall(view: View, choose: Callable[[Any], Any], count: int = 60, spreads: float = 1.0) -> float:
    """The share of the ten best of the selected slots that is found, over some queries."""
    shares = []
    for n in range(count):
        query = vector(90_000 + n)
        query /= np.linalg.norm(query)
        slots = choose(query)
        among = SignatureRows(slots, np.take(view.signatures, slots, axis=0))
        found, scores = promising(view, query, among, 32, spreads) or compared(view, query, slots, 32)
        exact, exact_scores = compared(view, query, slots, 10)
        assert list(scores) == sorted(scores, reverse=True)
        assert len(found) == min(32, len(slots))
        assert scores[0] == pytest.approx(exact_scores[0], abs=1e-6) or exact[0] not in found
        shares.append(len(set(exact.tolist()) & set(found[:10].tolist())) / min(10, len(slots)))
    return float(np.mean(shares))


def test_what_sketches_promise_holds_what_is_nearest_of_all_rows_and_of_any_part(view: View) -> None:
    everything = np.arange(ROWS)
    assert recall(view, lambda _: everything) >= 0.99
    assert recall(view, lambda _: everything[::4]) >= 0.99
    assert recall(view, lambda _: everything[:100]) == 1.0


def test_rows_that_leave_out_just_the_surroundings_of_the_query_are_looked_at_further(view: View) -> None:
    def far(query: np.ndarray) -> np.ndarray:
        scores = view.float16.astype(np.float32) @ query
        return np.flatnonzero(scores < np.partition(scores, ROWS * 9 // 10)[ROWS * 9 // 10])

    assert recall(view, far) >= 0.97


def test_a_wider_allowance_finds_more(view: View) -> None:
    everything = np.arange(ROWS)
    assert recall(view, lambda _: everything, spreads=3.0) >= 0.999
