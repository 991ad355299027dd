"""`registry.db` itself: transactions, its number, its standby copy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from index.types.errors import DataFault, StoreUnavailable, WrongKey
from service.runtime.clock import now_ms
from service.tenancy.companions import copy_of
from service.tenancy.database import RegistryDatabase
from service.tenancy.masterkey import MasterKey

MASTER = MasterKey(bytes(range(32)))
INSERT = "INSERT INTO secrets (name, wrapped) VALUES (?, ?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.db"


@pytest.fixture
def database(path: Path) -> Iterator[RegistryDatabase]:
    with closing(RegistryDatabase(path, MASTER)) as opened:
        yield opened


def names(database: RegistryDatabase) -> list[str]:
    return [row[0] for row in database.rows("SELECT name FROM secrets ORDER BY name")]


def test_rows_are_all_and_a_row_is_the_first_or_none(database: RegistryDatabase) -> None:
    assert database.rows("SELECT * FROM secrets") == []
    assert database.row("SELECT * FROM secrets") is None
    for name in ("b", "a"):
        assert database.change(INSERT, (name, b"x")) == 1
    assert names(database) == ["a", "b"]
    assert database.row("SELECT name FROM secrets WHERE name > ? ORDER BY name", ("",)) == ("a",)


def test_a_change_says_how_many_rows_it_was_about(database: RegistryDatabase) -> None:
    for name in "abc":
        database.change(INSERT, (name, b"x"))
    assert database.change("DELETE FROM secrets WHERE name < 'c'") == 2
    assert database.change("DELETE FROM secrets WHERE name = 'nobody'") == 0


def test_a_transaction_is_whole_or_nothing_and_may_be_followed_by_another(database: RegistryDatabase) -> None:
    def insert_twice() -> None:
        with database.transaction():
            database.change(INSERT, ("a", b"x"))
            database.change(INSERT, ("a", b"again"))

    with pytest.raises(StoreUnavailable):
        insert_twice()
    assert names(database) == []
    with database.transaction():
        database.change(INSERT, ("b", b"x"))
        database.change(INSERT, ("c", b"x"))
    assert names(database) == ["b", "c"]


def test_a_transaction_is_seen_by_others_when_it_is_whole(database: RegistryDatabase, path: Path) -> None:
    with closing(RegistryDatabase(path, MASTER)) as beside:
        with database.transaction():
            database.change(INSERT, ("a", b"x"))
            assert names(beside) == []
        assert names(beside) == ["a"]


def test_the_stamp_grows_with_a_change_of_this_or_another_process(database: RegistryDatabase, path: Path) -> None:
    with closing(RegistryDatabase(path, MASTER)) as beside:
        seen = [database.stamp()]
        assert database.stamp() == seen[0]
        for changed in (database, beside, database, beside):
            changed.change(INSERT, (f"name {len(seen)}", b"x"))
            seen.append(database.stamp())
            assert database.stamp() == seen[-1]
    assert sorted(set(seen)) == seen


def test_the_stamp_stays_after_what_does_not_count(database: RegistryDatabase) -> None:
    database.settle_changes()
    seen = database.stamp()
    database.note_uses({"any": 5})
    database.note_generations({"u": 3})
    database.settle_changes()
    assert database.stamp() == seen


def test_a_change_of_another_process_amid_what_does_not_count_is_not_missed(
    database: RegistryDatabase, path: Path
) -> None:
    with closing(RegistryDatabase(path, MASTER)) as beside:
        for before in (True, False):
            seen = database.stamp()
            with database._uncounted():
                if before:
                    beside.change(INSERT, (f"{before}", b"x"))
                database.change("UPDATE api_keys SET used_ms = 1")
                if not before:
                    beside.change(INSERT, (f"{before}", b"x"))
            assert database.stamp() > seen


def test_a_change_that_nobody_has_seen_yet_still_counts_after_what_does_not(
    database: RegistryDatabase, path: Path
) -> None:
    with closing(RegistryDatabase(path, MASTER)) as beside:
        seen = database.stamp()
        beside.change(INSERT, ("a", b"x"))
        database.note_uses({"any": 5})
        assert database.stamp() > seen


def test_the_number_grows_with_changes_and_not_with_uses_of_keys(database: RegistryDatabase) -> None:
    first = database.settle_changes()
    assert first == database.number()
    assert database.settle_changes() is None
    database.note_uses({"any": 5})
    assert database.settle_changes() is None
    assert database.number() == first
    for more in (1, 2):
        database.change(INSERT, (f"name {more}", b"x"))
        assert database.settle_changes() == database.number() == (first or 0) + more
    assert database.settle_changes() is None


def test_the_use_of_a_key_is_noted_with_that_key_alone(database: RegistryDatabase) -> None:
    database.change("INSERT INTO tenants (uid, name, created_ms) VALUES ('u', 'acme', 1)")
    for key in ("one", "other"):
        database.change(
            "INSERT INTO api_keys (key_id, tenant_uid, digest, scopes, created_ms) VALUES (?, 'u', x'00', 'search', 1)",
            (key,),
        )
    database.note_uses({"one": 7})
    assert dict(database.rows("SELECT key_id, used_ms FROM api_keys")) == {"one": 7, "other": None}


def test_the_standing_copy_has_what_was_settled_and_comes_back_where_it_is_lost(
    database: RegistryDatabase, path: Path, tmp_path: Path
) -> None:
    database.change(INSERT, ("a", b"x"))
    number = database.settle_changes()
    copy_of(path).unlink()
    assert database.settle_changes() == number  # nothing was changed, but the copy is not there
    (tmp_path / "other").mkdir()
    with closing(RegistryDatabase(copy_of(path).rename(tmp_path / "other" / "registry.db"), MASTER)) as copy:
        assert names(copy) == ["a"]
        assert copy.number() == number


def test_a_checkpoint_empties_the_log(database: RegistryDatabase, path: Path) -> None:
    log = path.with_name("registry.db-wal")
    database.change(INSERT, ("a", b"x"))
    assert log.stat().st_size > 0
    database.checkpoint()
    assert log.stat().st_size == 0


def test_another_master_key_is_reported_with_the_remedy(database: RegistryDatabase, path: Path) -> None:
    with pytest.raises(WrongKey, match="afterimage doctor --repair"):
        RegistryDatabase(path, MasterKey(bytes(32)))


@pytest.mark.parametrize("fault", ["missing", "empty"])
def test_a_lost_registry_is_not_begun_anew_beside_its_copy(path: Path, fault: str) -> None:
    with closing(RegistryDatabase(path, MASTER)) as database:
        database.change(INSERT, ("a", b"x"))
        database.settle_changes()
    path.unlink()
    if fault == "empty":
        path.touch()
    with pytest.raises(DataFault, match=f"is {fault}"):
        RegistryDatabase(path, MASTER)


def test_an_error_of_the_database_has_the_name_of_its_file(database: RegistryDatabase) -> None:
    with pytest.raises(StoreUnavailable, match=r"registry\.db"):
        database.rows("SELECT * FROM nothing")
    with pytest.raises(StoreUnavailable, match=r"registry\.db"):
        database.change("INSERT INTO nothing VALUES (1)")
    assert names(database) == []  # and it goes on


def test_now_is_in_milliseconds() -> None:
    assert abs(now_ms() - 1000 * time.time()) < 60_000
