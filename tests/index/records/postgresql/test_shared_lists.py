"""The list of a tenant's collections on two servers: what one makes, changes and deletes, the other has, too."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from index import CollectionExists, CollectionNotFound, DataDirectory, StoreUnavailable, TenantDirectory
from index.manifest.manifest import State
from index.records.sharing import shared_id
from index.tenant.inspection import deep_faults
from index.vectors.local.local_index import LocalVectorIndex
from tests.index.records.postgresql.servers import IndexServer, key_of, until
from tests.support.data.collections import SPEC, record, vector
from tests.support.postgresql.server import PostgresServer

OTHER = replace(SPEC, name="other")


@pytest.fixture
def pair(tmp_path: Path, postgres: PostgresServer) -> Iterator[tuple[IndexServer, IndexServer]]:
    """Two servers that have nothing in common but the key of their tenant."""
    key_of(tmp_path / "one")
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one" / "key", tmp_path / "two")
    made = IndexServer(tmp_path / "one", postgres.url), IndexServer(tmp_path / "two", postgres.url)
    yield made
    for server in made:
        server.close()


def _sound(server: IndexServer) -> bool:
    """Whether list, manifest and files of a server agree, as a start finds them."""
    things = server.tenant._manifest.things()
    assert not list(deep_faults(server.tenant._layout, key_of(server.root), things))
    assert {t.state for t in things.values()} == {State.PRESENT}
    return {n for n in things if n.endswith("/records.db")} == {
        f"{p.parent.name}/records.db" for p in server.tenant._layout.root.glob("*/records.db")
    }


def test_a_server_with_an_empty_directory_gets_all_collections_and_their_records(
    pair: tuple[IndexServer, IndexServer],
) -> None:
    one, two = pair
    one.tenant.create(SPEC).upsert([record(n) for n in range(20)])
    assert two.things.count() == 20  # at once: whoever does not know a name asks
    assert two.nearest(7) == "7"
    two.things.upsert([record(30)])
    until(lambda: one.nearest(30) == "30")
    for server in pair:
        assert _sound(server)
        assert server.tenant.list_differences() == []


def test_settings_names_and_deletions_reach_the_other_server(pair: tuple[IndexServer, IndexServer]) -> None:
    one, two = pair
    one.tenant.create(SPEC).upsert([record(1)])
    two.tenant.create(OTHER).upsert([record(2)])
    until(lambda: one.tenant.names() == two.tenant.names() == ["other", "things"])
    one.tenant.change("things", description="shoes")
    two.tenant.change("things", learning=False)  # neither takes back what the other has changed
    until(lambda: (one.things.spec, one.things.spec.description) == (two.things.spec, "shoes"))
    assert not one.things.spec.learning
    two.tenant.exchange("things", "other")
    until(lambda: [r.record_id for r in one.things.list(0, 9)] == ["2"])
    assert (one.nearest(1), two.nearest(1)) == ("2", "2")
    one.tenant.delete("things")
    until(lambda: two.tenant.names() == ["other"])
    with pytest.raises(CollectionNotFound):
        two.tenant.collection("things")
    for server in pair:
        until(lambda: _sound(server))  # noqa: B023


def test_two_servers_cannot_use_one_name_for_two_collections(pair: tuple[IndexServer, IndexServer]) -> None:
    one, two = pair
    one.tenant.create(SPEC).upsert([record(1)])
    two.tenant._leave()  # as in the moment before it hears of it
    with pytest.raises(CollectionExists):
        two.tenant.create(SPEC)
    uids = {p.parent.name for p in two.tenant._layout.root.glob("*/records.db")}
    assert uids == set(one.tenant._members.uids.values())  # only what it has now heard of
    with one.stores._database.transaction() as connection:
        query = "SELECT count(*) FROM afterimage.rows JOIN afterimage.collections ON number = collection WHERE id = %s"
        row = connection.execute(query, (shared_id(one.things.handle.place),)).fetchone()
    assert row
    assert row[0] > 0


def test_a_server_that_was_stopped_meanwhile_removes_what_was_deleted_and_sets_aside_what_nobody_deleted(
    pair: tuple[IndexServer, IndexServer],
) -> None:
    one, two = pair
    for spec in (SPEC, OTHER):
        one.tenant.create(spec).upsert([record(1)])
    assert two.things.count() == two.tenant.collection("other").count() == 1
    root = {name: two.tenant._layout.collection(two.tenant._members.uids[name]).root for name in ("things", "other")}
    two.close()
    one.tenant.delete("things")
    with one.stores._database.transaction() as connection:  # as a restored backup of PostgreSQL would
        found = connection.execute(
            "SELECT number FROM afterimage.collections WHERE id = %s", (one.tenant._catalog.shared.id,)
        ).fetchall()
        number = found[0][0]
        connection.execute(
            "DELETE FROM afterimage.rows WHERE collection = %s AND version < (SELECT max(version) FROM afterimage.rows"
            " WHERE collection = %s)", (number, number),
        )  # fmt: skip
        connection.execute(
            "DELETE FROM afterimage.commits WHERE collection = %s AND version < (SELECT version FROM"
            " afterimage.collections WHERE number = %s)", (number, number),
        )  # fmt: skip
    again = IndexServer(two.root, two.url)
    assert again.tenant.names() == []
    assert [p.exists() for p in root.values()] == [False, False]
    aside = list(again.tenant._layout.set_aside.rglob("records.db"))
    assert [p.parent.name.endswith(root["other"].name) for p in aside] == [True]
    again.close()


def test_lists_that_were_apart_are_joined_and_a_name_that_is_used_twice_is_refused(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """As two servers that have shared only their records so far."""
    one = _filled(tmp_path, "one", postgres, ["things", "mine"])
    two = _filled(tmp_path, "two", postgres, ["yours"])
    assert two.tenant.names() == ["mine", "things", "yours"]
    until(lambda: one.tenant.names() == ["mine", "things", "yours"])
    assert one.tenant.collection("yours").count() == 1
    with pytest.raises(StoreUnavailable, match="for another thing"):
        _filled(tmp_path, "three", postgres, ["mine"])
    for server in (one, two):
        server.close()


def _filled(folder: Path, name: str, postgres: PostgresServer, collections: list[str]) -> IndexServer:
    (folder / name).mkdir(exist_ok=True)
    if name != "one":
        shutil.copy(folder / "one" / "key", folder / name)
    alone = TenantDirectory(DataDirectory(folder / name).tenant("a" * 32), key_of(folder / name))
    with contextlib.closing(alone):
        for one in collections:
            alone.create(replace(SPEC, name=one)).upsert([record(1)])
    return IndexServer(folder / name, postgres.url)


def test_without_postgresql_lists_are_read_and_not_changed(
    pair: tuple[IndexServer, IndexServer], postgres: PostgresServer
) -> None:
    one, two = pair
    one.tenant.create(SPEC).upsert([record(1)])
    assert two.things.count() == 1
    two.close()
    postgres.kill()
    try:
        for change in (
            lambda: one.tenant.create(OTHER),
            lambda: one.tenant.change(SPEC.name, description="x"),
            lambda: one.tenant.delete(SPEC.name),
        ):
            with pytest.raises(StoreUnavailable):
                change()
        again = IndexServer(two.root, two.url)
        assert (again.nearest(1), again.tenant.names(), one.tenant.names()) == ("1", ["things"], ["things"])
        with pytest.raises(CollectionNotFound):
            again.tenant.collection("other")
    finally:
        postgres.start()
    one.tenant.create(OTHER)
    until(lambda: again.tenant.names() == ["other", "things"])
    assert again.things.get(["1"], vectors=False)["1"].record_id == "1"
    assert vector(1).shape == (SPEC.dimension,)
    again.close()


def _held(index: LocalVectorIndex, number: int) -> int:
    """How many rows of the memory of a server are the vector of a record."""
    unit = (vector(number) / np.linalg.norm(vector(number))).astype(np.float16)
    return int((np.abs(index.view.float16 - unit).max(axis=1) < 1e-2).sum())


def test_what_one_server_erased_leaves_the_files_of_the_other_also_where_it_was_not_in_memory(
    pair: tuple[IndexServer, IndexServer],
) -> None:
    one, two = pair
    for spec in (SPEC, OTHER):
        one.tenant.create(spec).upsert([record(n) for n in range(5)])
    assert two.things.count() == two.tenant.collection("other").count() == 5
    with two.things.handle as loaded:
        assert _held(cast(LocalVectorIndex, loaded.index), 3) == 1
    kept = two.things.keep_snapshot().snapshot_id
    assert two.tenant.collection("other").handle.cool()
    assert two.tenant.erase_followed() == 0
    for name in ("things", "other"):
        assert one.tenant.collection(name).erase(["3"]).records == 1
    until(lambda: not two.stores.behind(two.tenant.collection("other").handle.place))  # cold, and yet followed
    assert two.tenant.collection("other").handle.loaded is None
    assert two.tenant.erase_followed() == 2
    for collection in two.tenant.every():
        with collection.handle as loaded:
            assert loaded.store.tombstones() == []
            index = cast(LocalVectorIndex, loaded.index)
            assert _held(index, 3) < _held(index, 4)
    restored = two.tenant.restore("things", kept, "restored")
    assert sorted(restored.get([str(n) for n in range(5)])) == ["0", "1", "2", "4"]


def test_what_is_shared_of_a_tenant_is_deleted_with_it(pair: tuple[IndexServer, IndexServer]) -> None:
    one, two = pair
    one.tenant.create(SPEC).upsert([record(1)])
    assert two.things.count() == 1
    one.stores._shared.forget("b" * 32)
    ids = [one.store.shared.id, one.tenant._catalog.shared.id]
    query = "SELECT count(*) FROM afterimage.collections WHERE id = ANY(%b)"
    with one.stores._database.transaction() as connection:
        assert connection.execute(query, (ids,)).fetchone() == (2,)
        numbers = connection.execute("SELECT number FROM afterimage.collections WHERE id = ANY(%b)", (ids,)).fetchall()
    one.stores._shared.forget("a" * 32)  # that of all tests
    with one.stores._database.transaction() as connection:
        assert connection.execute(query, (ids,)).fetchone() == (0,)
        left = "SELECT count(*) FROM afterimage.rows WHERE collection = ANY(%s)"
        assert connection.execute(left, ([n for (n,) in numbers],)).fetchone() == (0,)
