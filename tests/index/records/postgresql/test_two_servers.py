"""Two servers on one database: each answers what the other has acknowledged."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from index import RecordPatch, SourceMark, StaleEpoch, StoreUnavailable
from index.records.postgresql.sealing import Image
from index.types.companions import Origin
from index.types.errors import RecordExists
from index.types.feedback.judgements import Judgement, Verdict
from index.types.sources import SourceBatch
from tests.index.records.postgresql.servers import IndexServer, two_servers, until
from tests.support.data.collections import SPEC, record
from tests.support.postgresql.server import PostgresServer


@pytest.fixture
def pair(tmp_path: Path, postgres: PostgresServer) -> Iterator[tuple[IndexServer, IndexServer]]:
    made = two_servers(tmp_path, postgres.url, 5)
    yield made
    for server in made:
        server.close()


def test_what_one_server_acknowledged_the_other_answers_within_its_next_polls(
    pair: tuple[IndexServer, IndexServer],
) -> None:
    one, two = pair
    assert two.ids() == ["0", "1", "2", "3", "4"]
    one.things.upsert([record(n) for n in range(500, 800)])  # so many are entered beside the commit
    assert one.things.delete_matching("") == 305
    one.things.upsert([record(n) for n in (0, 1, 3, 4)])
    one.things.upsert([record(7, "p", color="red")])
    until(lambda: sorted(r.record_id for r in two.things.list(0, 999)) == ["0", "1", "3", "4", "7"])
    assert (two.nearest(7), two.ids()) == ("7", ["0", "1", "3", "4", "7"])
    assert two.things.get(["7"])["7"].attributes == {"color": "red"}
    assert two.things.usage() == one.things.usage()


def test_a_write_sees_every_commit_of_the_other_server_without_following(
    pair: tuple[IndexServer, IndexServer],
) -> None:
    one, two = pair
    assert one.ids() == two.ids()
    for server in pair:
        server.stores._follower.remove(server.store)  # nothing follows but the writes themselves
    one.things.upsert([record(9)])
    assert isinstance(two.things.upsert([record(9)], insert_only=True)[0].error, RecordExists)
    one.things.sourced.claim(5)
    with pytest.raises(StaleEpoch):
        two.things.sourced.claim(4)
    batch = SourceBatch(5, "feed", "run")
    two.things.sourced.apply(batch, [replace(record(20), origin=Origin(b"u", ""), mark=SourceMark("feed", b"i"))])
    numbers = [one.things.upsert([record(n)])[0].sequence for n in range(30, 33)]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    assert [m.record_id for m in one.things.sourced.marks("feed")] == ["20"]
    assert two.things.delete(["30"]) == 1
    assert one.things.delete(["30"]) == 0


_numbers = st.integers(0, 11)
_steps = st.one_of(
    st.tuples(st.sampled_from(["upsert", "insert", "delete", "patch", "source", "withdraw", "back"]), _numbers),
    st.tuples(st.sampled_from(["search", "drop search", "judge"]), st.integers(0, 2)),
)


def _do(server: IndexServer, step: str, number: int) -> None:
    things, batch = server.things, SourceBatch(1, "feed", "run")
    server.store.follow()  # what a step reads before it writes may be behind on a busy machine
    if step in ("upsert", "insert"):
        things.upsert([record(number, f"p{number % 3}", step=step)], insert_only=step == "insert")
    elif step == "delete":
        things.delete([str(number)])
    elif step == "patch":
        things.patch([RecordPatch(str(number), set_attributes={"size": float(number)})])
    elif step == "source":
        things.sourced.apply(batch, [replace(record(number), digest=b"d", mark=SourceMark("feed", b"i"))])
    elif step == "withdraw":
        things.sourced.withdraw(batch, [str(number)])
    elif step == "back":
        things.sourced.reinstate("feed", [str(number)])
    elif step == "judge":
        things.judged_pairs.judge([Judgement(str(number), str(number + 1), Verdict.SAME_PRODUCT)])
    elif step == "search" and number not in {int(s.name) for s in things.saved_searches.page("", 9)}:
        things.saved_searches.create(str(number), b"content")
    elif step == "drop search" and number in {int(s.name) for s in things.saved_searches.page("", 9)}:
        things.saved_searches.delete(str(number), "")


def _rows(server: IndexServer) -> set[tuple[object, ...]]:
    """All that the copy of a server has, but the deletions that it remembers."""
    with server.store.paused():
        images: list[Image] = [image for _, image in server.store._copy.tables.images()]
    return {(i.table, *i.values.items()) for i in images if i.table != "tombstones"}


@settings(max_examples=2, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.booleans(), _steps), min_size=25, max_size=35))
def test_whatever_two_servers_do_they_have_the_same_rows_as_one_server_that_does_it_all(
    steps: list[tuple[bool, tuple[str, int]]], postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("servers")
    one, two = two_servers(folder, postgres.url)
    alone, fourth = two_servers(folder / "alone", postgres.url)
    fourth.close()
    with contextlib.closing(one), contextlib.closing(two), contextlib.closing(alone):
        _compare(steps, one, two, alone)
    shutil.rmtree(folder)


def _compare(steps: list[tuple[bool, tuple[str, int]]], one: IndexServer, two: IndexServer, alone: IndexServer) -> None:
    for server in (one, alone):
        server.things.sourced.claim(1)
    for second, (step, number) in steps:
        _do(two if second else one, step, number)
        _do(alone, step, number)
    for server in (one, two):
        server.store.follow()
    assert one.ids() == two.ids() == alone.ids()
    assert _rows(one) == _rows(two)
    assert [list(s.store.problems()) for s in (one, two)] == [[], []]
    assert one.things.get(one.ids(), vectors=False).keys() == alone.things.get(alone.ids(), vectors=False).keys()
    assert one.things.usage() == alone.things.usage()
    assert one.store.sequences().last == two.store.sequences().last == alone.store.sequences().last


def test_a_copy_that_is_older_than_the_deletions_that_are_told_is_renewed(
    pair: tuple[IndexServer, IndexServer],
) -> None:
    one, two = pair
    assert two.ids() == one.ids()
    two.close()
    one.things.delete(["1", "3"])
    one.things.upsert([record(8)])
    with one.stores._database.transaction() as connection:
        assert one.store.shared.prune(connection, -1.0) > 0  # older than tomorrow: all
    again = IndexServer(two.root, two.url)
    assert again.ids() == ["0", "2", "4", "8"]
    assert list(again.store.problems()) == []
    again.close()


def test_a_server_whose_copy_has_what_the_database_lost_takes_over_the_history_of_the_database(
    pair: tuple[IndexServer, IndexServer],
) -> None:
    """As after a failover to a standby that had not received the last commits."""
    one, two = pair
    assert two.ids() == one.ids()
    with one.stores._database.transaction() as connection:
        query = "UPDATE afterimage.commits SET stamp = 'another' WHERE version = %s"
        connection.execute(query, (one.store.version,))
    two.close()
    with pytest.raises(StoreUnavailable, match="another history"):
        one.things.upsert([record(8)])
    assert one.ids() == ["0", "1", "2", "3", "4"]
    again = IndexServer(two.root, two.url)
    again.things.upsert([record(9)])
    assert again.ids() == ["0", "1", "2", "3", "4", "9"]
    again.close()


def test_a_collection_that_is_deleted_leaves_no_row_and_the_other_server_removes_it(
    pair: tuple[IndexServer, IndexServer],
) -> None:
    one, two = pair
    assert two.ids() == one.ids()
    id = one.store.shared.id
    one.tenant.delete(SPEC.name)
    with two.stores._database.transaction() as connection:
        row = connection.execute(
            "SELECT count(*) FROM afterimage.rows JOIN afterimage.collections ON number = collection WHERE id = %s",
            (id,),
        ).fetchone()
    assert row == (0,)
    held = two.tenant.every()
    until(lambda: not two.tenant.every())
    for gone in held:
        with pytest.raises(StoreUnavailable, match=r"closed|deleted"):
            gone.upsert([record(9)])
    until(lambda: not list((two.root / "tenants" / ("a" * 32)).glob("*/records.db")))
