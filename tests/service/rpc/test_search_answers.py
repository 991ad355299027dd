"""Search against a plain numpy oracle, over everything that a request can say at once, through the API's own door."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.search_shop import Kinds, SearchShop

ROWS = 900


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[SearchShop]:
    made = SearchShop(tmp_path, seed=11)
    yield made
    made.close()


def fill(shop: SearchShop, rows: int = ROWS) -> None:
    shop.upsert([f"r{n}" for n in range(rows)])


def all_is_right(shop: SearchShop, requests: int, kinds: Kinds) -> None:
    """Each answer of a collection that compares every record, in each state that it can be in."""
    fill(shop)
    shop.check(requests, kinds, exact=True)
    shop.change(0.1)
    shop.check(requests, kinds, exact=True)
    shop.restart()
    shop.check(requests, kinds, exact=True)
    shop.back_and_forth()
    shop.check(requests, kinds, exact=True)
    shop.collection.compact()
    shop.check(requests, kinds, exact=True)
    shop.learn()
    shop.check(requests, kinds, exact=True)
    shop.change(0.1)
    shop.check(requests, kinds, exact=True)


def nearly_all_is_found(shop: SearchShop, requests: int, kinds: Kinds, rows: int = 2 * ROWS) -> None:
    """Answers of a collection with a base: right but for what the base does not find, in each state."""
    fill(shop, rows)
    assert shop.collection.build_base()
    shop.check(requests, kinds, exact=False)
    shop.change(0.05)
    shop.check(requests, kinds, exact=False)
    shop.restart()
    shop.check(requests, kinds, exact=False)
    shop.learn()  # builds the base anew
    shop.check(requests, kinds, exact=False)
    shop.back_and_forth()
    assert shop.collection.build_base()
    shop.check(requests, kinds, exact=False)


def prefer_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are compared one by one, since that is faster; here the base must answer."""
    for name, value in (("_GRAPH", 0.01), ("_WORTH", 0.0), ("_PROMISING_NS", 0.0), ("_SKETCH_NS", 0.01)):
        monkeypatch.setattr(f"index.planner.{name}", value)
    monkeypatch.setattr("index.planner._SKETCH_GATHER_NS", 20.0)
    monkeypatch.setattr("index.comparing._FIRST", 64)
    # Builds run when nothing else wants the processor, which on a busy machine is never.
    monkeypatch.setattr(
        "index.building._IDLY", 'import runpy; runpy.run_module("index.base_builder", run_name="__main__")'
    )


def test_every_answer_is_what_comparing_all_with_numpy_gives(shop: SearchShop) -> None:
    kinds = Kinds()
    all_is_right(shop, 250, kinds)
    assert min(len(shares) for shares in kinds.shares.values()) > 20  # of each kind


def test_through_a_base_each_kind_of_request_finds_99_of_100(shop: SearchShop, monkeypatch: pytest.MonkeyPatch) -> None:
    prefer_the_base(monkeypatch)
    kinds = Kinds()
    nearly_all_is_found(shop, 200, kinds)
    few = {kind: sum(s) / len(s) for kind, s in kinds.shares.items() if sum(s) / len(s) < 0.99}
    assert not few, kinds.table()


@pytest.mark.long
@pytest.mark.timeout(14_400)
def test_a_million_random_requests(tmp_path: Path) -> None:
    run(tmp_path, 1_000_000)


def run(folder: Path, requests: int) -> None:
    """So many requests, over collections that are made anew each time, half of them with a base."""
    kinds, exact = Kinds(), Kinds()
    rounds = max(1, requests // 20_000)
    each = requests // rounds // 12
    for number in range(rounds):
        shop = SearchShop(folder / f"exact-{number}", seed=1000 + number)
        all_is_right(shop, each, exact)
        shop.close()
        with pytest.MonkeyPatch.context() as patched:
            prefer_the_base(patched)
            shop = SearchShop(folder / f"base-{number}", seed=2000 + number)
            nearly_all_is_found(shop, each, kinds)
            shop.close()
        print(f"exact\n{exact.table()}\nthrough a base\n{kinds.table()}", flush=True)
    assert all(sum(s) / len(s) >= 0.99 for s in kinds.shares.values()), kinds.table()
