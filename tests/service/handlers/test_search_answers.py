"""Search against a plain numpy oracle, over everything that a request can say at once, through the API's own door."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.data.collections import build_at_once
from tests.support.data.search_shop import Kinds, SearchShop

ROWS = 900
EXACT_STATES, BASE_STATES = 7, 5


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[SearchShop]:
    made = SearchShop(tmp_path, seed=11)
    yield made
    made.close()


def fill(shop: SearchShop, rows: int) -> None:
    shop.upsert([f"r{n}" for n in range(rows)])


def all_is_right(shop: SearchShop, requests: int, kinds: Kinds, rows: int = ROWS) -> None:
    """Every answer of a collection with exact search, in each of its possible states."""
    fill(shop, rows)
    shop.check(requests, kinds, exact=True)
    shop.change(0.1)
    shop.check(requests, kinds, exact=True)
    shop.restart()
    shop.check(requests, kinds, exact=True)
    shop.back_and_forth()
    shop.check(requests, kinds, exact=True)
    shop.collection.compact()
    shop.check(requests, kinds, exact=True)
    if not shop.learns:
        return
    shop.learn()
    shop.check(requests, kinds, exact=True)
    shop.change(0.1)
    shop.check(requests, kinds, exact=True)


def nearly_all_is_found(shop: SearchShop, requests: int, kinds: Kinds, rows: int = 2 * ROWS) -> None:
    """Answers of a collection with an ANN index in each state: correct except for records that it misses."""
    fill(shop, rows)
    assert shop.collection.build_ann_index()
    shop.check(requests, kinds, exact=False)
    shop.change(0.05)
    shop.check(requests, kinds, exact=False)
    shop.restart()
    shop.check(requests, kinds, exact=False)
    shop.learn()  # builds the base anew
    shop.check(requests, kinds, exact=False)
    shop.back_and_forth()
    assert shop.collection.build_ann_index()
    shop.check(requests, kinds, exact=False)


def prefer_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are compared exactly because that is faster. Here the ANN index must answer."""
    for name, value in (("_GRAPH", 0.01), ("_WORTH", 0.0), ("_PROMISING_NS", 0.0), ("_SKETCH_NS", 0.01)):
        monkeypatch.setattr(f"index.vectors.query.plan.{name}", value)
    monkeypatch.setattr("index.vectors.query.plan._SKETCH_GATHER_NS", 20.0)
    monkeypatch.setattr("index.vectors.query.rerank._FIRST", 64)
    build_at_once(monkeypatch)


def test_every_answer_is_what_comparing_all_with_numpy_gives(shop: SearchShop) -> None:
    kinds = Kinds()
    all_is_right(shop, 250, kinds)
    assert min(len(shares) for shares in kinds.shares.values()) > 20  # of each kind


def test_through_a_base_each_kind_of_request_finds_99_of_100(shop: SearchShop, monkeypatch: pytest.MonkeyPatch) -> None:
    prefer_the_base(monkeypatch)
    kinds = Kinds()
    nearly_all_is_found(shop, 200, kinds)
    assert not kinds.missing(0.99, of_at_least=100), kinds.table()


PARTS, REQUESTS_OF_A_PART = 50, 20_000


@pytest.fixture(scope="module")
def tally() -> Iterator[tuple[Kinds, Kinds]]:
    """What all parts of the long run requested, exactly and through an ANN index; printed at the end."""
    exact, through_base = Kinds(), Kinds()
    yield exact, through_base
    if exact.shares:
        print(f"\nexact\n{exact.table()}\nthrough a base\n{through_base.table()}")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS), ids=lambda number: f"part-{number}")
def test_a_million_random_requests(part: int, tmp_path: Path, tally: tuple[Kinds, Kinds]) -> None:
    """Over collections of its own in each part, of few rows and of many; any part can be run alone:
    pytest -m long -v -s tests/service/handlers/test_search_answers.py -k "part-7 or part-8"."""
    exact, through_base = tally
    each = REQUESTS_OF_A_PART // (EXACT_STATES + BASE_STATES)
    shop = SearchShop(tmp_path / "exact", seed=1000 + part)
    all_is_right(shop, each, exact, rows=(ROWS, 60, 2500, ROWS, 300)[part % 5])
    shop.close()
    kinds = Kinds()
    with pytest.MonkeyPatch.context() as patched:
        if part % 10 != 9:  # so many rows that the base is the fastest
            prefer_the_base(patched)
        shop = SearchShop(tmp_path / "base", seed=2000 + part)
        nearly_all_is_found(shop, each, kinds, rows=20_000 if part % 10 == 9 else 2 * ROWS)
        shop.close()
    through_base.join(kinds)
    assert not kinds.missing(0.99, of_at_least=200), kinds.table()
