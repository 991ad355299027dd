"""PostgreSQL is killed, cut off and out of reach: what was acknowledged stays, and what was not is known."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from index import OutcomeUnknown, StoreDamaged, StoreUnavailable, TenantDirectory
from index.storage.layout import DataDirectory
from index.types.record import Outcome
from tests.index.records.postgresql.servers import IndexServer, key_of, two_servers
from tests.support.data.collections import SPEC, record
from tests.support.postgresql.cutting import CutAt, Cutting, cutting
from tests.support.postgresql.server import PostgresServer


@pytest.fixture
def single(tmp_path: Path, postgres: PostgresServer) -> Iterator[IndexServer]:
    made = IndexServer(tmp_path, postgres.url)
    made.tenant.create(SPEC).upsert([record(n) for n in range(3)])
    yield made
    made.close()


def test_without_postgresql_reads_go_on_and_writes_are_refused_until_it_is_back(
    single: IndexServer, postgres: PostgresServer
) -> None:
    postgres.kill()
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as refused:
            single.things.upsert([record(5)])
        assert not isinstance(refused.value, OutcomeUnknown)
    assert (single.ids(), single.nearest(1)) == (["0", "1", "2"], "1")
    single.close()
    opened = IndexServer(single.root, single.url)
    assert opened.ids() == ["0", "1", "2"]
    with pytest.raises(StoreUnavailable):
        opened.tenant.create(SPEC.__class__("new", "builtin", "f" * 16, SPEC.dimension))
    postgres.start()
    assert opened.things.upsert([record(5)])[0].outcome is Outcome.CREATED
    opened.close()


def test_what_two_servers_acknowledged_while_postgresql_was_killed_again_and_again_is_there_once(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    pair = two_servers(tmp_path, postgres.url)
    acknowledged: list[list[str]] = [[], []]
    refused = [0, 0]
    enough = threading.Event()

    def write(place: int) -> None:
        number = place
        while not enough.is_set():
            batch = [record(n, f"from {place}") for n in (number, number + 2)]
            try:
                results = pair[place].things.upsert(batch)
            except StoreUnavailable:
                refused[place] += 1
                enough.wait(0.01)
                continue  # the same batch again: what stands is UNCHANGED
            acknowledged[place] += [r.record_id for r in results if r.error is None]
            number += 4

    writers = [threading.Thread(target=write, args=(place,)) for place in (0, 1)]
    for writer in writers:
        writer.start()
    for _ in range(4):
        before = [len(a) for a in acknowledged]
        while any(len(a) <= b + 4 for a, b in zip(acknowledged, before, strict=True)):
            enough.wait(0.01)
        postgres.kill()
        postgres.start()
    enough.set()
    for writer in writers:
        writer.join()
    for server in pair:
        server.store.follow()
        assert set(server.ids()) >= {*acknowledged[0], *acknowledged[1]}
        assert list(server.store.problems()) == []
    assert pair[0].ids() == pair[1].ids()
    assert min(map(len, acknowledged)) > 16
    assert sum(refused) > 0
    for server in pair:
        server.close()


@pytest.mark.parametrize("cut", CutAt)
def test_a_commit_whose_connection_is_lost_is_known_to_stand_or_not(
    tmp_path: Path, postgres: PostgresServer, cut: CutAt
) -> None:
    with cutting(postgres) as between:
        server = IndexServer(tmp_path, between.url)
        server.tenant.create(SPEC).upsert([record(1)])
        between.cut_next(cut)
        if cut is CutAt.AFTER_COMMIT:
            assert server.things.upsert([record(2)])[0].outcome is Outcome.CREATED
        else:
            with pytest.raises(StoreUnavailable) as refused:
                server.things.upsert([record(2)])
            assert not isinstance(refused.value, OutcomeUnknown)
        assert between.cuts == 1
        again = server.things.upsert([record(2)])[0]
        assert again.outcome is (Outcome.UNCHANGED if cut is CutAt.AFTER_COMMIT else Outcome.CREATED)
        assert (server.ids(), list(server.store.problems())) == (["1", "2"], [])
        server.close()


@pytest.mark.parametrize("cut", CutAt)
def test_a_commit_that_nobody_can_be_asked_about_is_unknown_and_is_safe_to_repeat(
    tmp_path: Path, postgres: PostgresServer, cut: CutAt
) -> None:
    with cutting(postgres) as between:
        server = IndexServer(tmp_path, between.url)
        server.tenant.create(SPEC).upsert([record(1)])
        server.stores._follower.remove(server.store)
        between.cut_next(cut, then_refuse=True)
        with pytest.raises(OutcomeUnknown):
            server.things.upsert([record(2)])
        assert server.ids() == ["1"]
        between.accept()
        stands = cut is CutAt.AFTER_COMMIT
        again = server.things.upsert([record(2)], insert_only=True)[0]
        assert again.outcome is (Outcome.FAILED if stands else Outcome.CREATED)
        assert (server.ids(), server.things.usage().records) == (["1", "2"], 2)
        server.close()


def test_a_row_that_was_exchanged_in_postgresql_is_not_taken_for_another(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    one, two = two_servers(tmp_path, postgres.url, 2)
    two.stores._follower.remove(two.store)
    one.things.upsert([record(n, color="red") for n in range(2)])
    with one.stores._database.transaction() as connection:
        number = one.store.shared.state(connection).number  # type: ignore[union-attr]
        connection.execute(
            "UPDATE afterimage.rows AS r SET sealed = o.sealed FROM afterimage.rows AS o"
            " WHERE r.collection = %s AND o.collection = %s AND o.version = r.version AND o.key <> r.key",
            (number, number),
        )
    with pytest.raises(StoreDamaged):
        two.store.follow()
    assert two.ids() == ["0", "1"]
    assert any("authenticate" in p for p in one.store.problems())
    one.close()
    two.close()


def test_a_directory_whose_records_are_in_postgresql_is_not_written_alone(
    single: IndexServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    single.close()

    def local() -> TenantDirectory:
        return TenantDirectory(DataDirectory(tmp_path).tenant("a" * 32), key_of(tmp_path))

    with pytest.raises(StoreUnavailable, match="set store_url"):
        local().collection(SPEC.name).upsert([record(7)])
    with pytest.raises(StoreUnavailable, match="set store_url"):
        local().create(replace(SPEC, name="other"))
    again = IndexServer(tmp_path, postgres.url)
    for _ in range(2):  # the second time it is done
        assert again.stores.to_directory(again.things.handle.place) == 3
    again.tenant.detach()
    tenant = local()
    tenant.create(replace(SPEC, name="other"))
    tenant.collection(SPEC.name).upsert([record(7)])
    assert sorted(r.record_id for r in tenant.collection(SPEC.name).list(0, 9)) == ["0", "1", "2", "7"]
    tenant.close()
    again.close()


def test_a_directory_that_was_filled_without_postgresql_is_entered_whole(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    tenant = TenantDirectory(DataDirectory(tmp_path / "one").tenant("a" * 32), key_of(tmp_path / "one"))
    tenant.create(SPEC).upsert([record(n) for n in range(1200)])
    tenant.collection(SPEC.name).delete(["5"])
    tenant.close()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    one = IndexServer(tmp_path / "one", postgres.url)
    assert (one.things.count(), list(one.store.problems())) == (1199, [])
    one.things.upsert([record(5000)])
    two = IndexServer(tmp_path / "two", postgres.url)
    assert (two.things.count(), two.nearest(5000), list(two.store.problems())) == (1200, "5000", [])
    backup = one.things.keep_snapshot()
    one.things.delete(["7"])
    restored = one.tenant.restore(SPEC.name, backup.snapshot_id, SPEC.name, replacing=True)
    assert (restored.count(), list(one.store.problems())) == (1199, [])  # snapshots lose what is deleted
    with contextlib.closing(two), contextlib.closing(one):
        last = one.store.sequences().last
        two.tenant.follow()
        assert two.things.upsert([record(6000)])[0].sequence == last + 1
        assert two.things.home == one.things.home


def test_the_gate_cuts_only_what_it_was_told_to(postgres: PostgresServer, tmp_path: Path) -> None:
    with cutting(postgres) as between:
        assert isinstance(between, Cutting)
        server = IndexServer(tmp_path, between.url)
        server.tenant.create(SPEC).upsert([record(1)])
        server.close()
        assert between.cuts == 0
