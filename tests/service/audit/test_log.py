"""An audit log: entries never change, and modifications are detected."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from index.storage.crypto import derive_key
from index.storage.sqlite import DatabaseError, connect
from index.types.errors import DataFault, StoreUnavailable
from service.audit.chain import Entry, Head, Signer, is_signed, problems
from service.audit.log import AuditLog
from tests.support.data.files import all_bytes

KEY, UID, SIGNER = bytes(range(32)), "a" * 32, Signer(bytes(range(1, 33)))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    made = opened(tmp_path)
    yield made
    made.close()


def opened(folder: Path) -> AuditLog:
    return AuditLog(folder / "audit.db", UID, KEY, SIGNER)


def filled(log: AuditLog, count: int = 5) -> tuple[list[tuple[Entry, str]], Head]:
    for number in range(count):
        log.add("key:abc", "collection.create", {"collection": f"c{number}", "records": number})
    head = log.head()
    assert head is not None
    return log.entries(), head


def wrong(log: AuditLog) -> list[str]:
    return wrong_with(log.entries(), log.head())


def wrong_with(entries: list[tuple[Entry, str]], head: Head | None) -> list[str]:
    return list(problems(UID, entries, head, SIGNER.public_key))


def test_entries_are_numbered_chained_and_the_last_is_signed(log: AuditLog) -> None:
    assert (log.entries(), log.head(), wrong(log)) == ([], None, [])
    entries, head = filled(log)
    assert [e.number for e, _ in entries] == [1, 2, 3, 4, 5]
    assert [e.previous for e, _ in entries[1:]] == [digest for _, digest in entries[:-1]]
    assert (head.number, head.digest) == (5, entries[-1][1])
    assert is_signed(head.to_dict(), head.signature, SIGNER.public_key)
    assert wrong(log) == []
    assert log.entries(after=3, limit=1)[0][0].number == 4


def test_any_entry_that_is_changed_removed_or_moved_is_found(log: AuditLog) -> None:
    entries, head = filled(log)
    for at, (entry, digest) in enumerate(entries):
        for change in (
            {"actor": "operator"}, {"action": "x"}, {"time_ms": entry.time_ms + 1}, {"details": {"collection": "x"}},
        ):  # fmt: skip
            changed = dataclasses.replace(entry, **change)
            assert wrong_with([*entries[:at], (changed, digest), *entries[at + 1 :]], head), (at, change)
            rehashed = [*entries[:at], (changed, changed.digest), *entries[at + 1 :]]
            assert wrong_with(rehashed, head), (at, change)
        assert wrong_with([*entries[:at], *entries[at + 1 :]], head), at
        if at:
            swapped = [*entries[: at - 1], entries[at], entries[at - 1], *entries[at + 1 :]]
            assert wrong_with(swapped, head), at
    assert wrong_with(entries, head) == []


def test_a_chain_that_was_made_anew_needs_the_signing_key(log: AuditLog) -> None:
    entries, head = filled(log)
    made: list[tuple[Entry, str]] = []
    previous = entries[0][0].previous
    for entry, _ in entries:
        forged = dataclasses.replace(entry, actor="operator", previous=previous)
        made.append((forged, forged.digest))
        previous = forged.digest
    assert wrong_with(made, head)
    other = Signer(bytes(32))
    unsigned = dataclasses.replace(head, digest=previous)
    for forged_head in (unsigned, dataclasses.replace(unsigned, signature=other.sign(unsigned.to_dict())), None):
        assert wrong_with(made, forged_head)


def test_a_cut_end_does_not_fit_the_head_and_another_tenants_log_fits_nothing(log: AuditLog) -> None:
    entries, head = filled(log)
    assert wrong_with(entries[:-1], head)
    assert wrong_with([], head)
    assert list(problems("b" * 32, entries, head, SIGNER.public_key))


def test_the_database_refuses_changes_and_a_change_behind_its_back_is_found(tmp_path: Path, log: AuditLog) -> None:
    filled(log)
    raw = connect(tmp_path / "audit.db", derive_key(KEY, "audit log"))
    for statement in ("UPDATE entries SET digest = 'x' WHERE number = 2", "DELETE FROM entries WHERE number = 5"):
        with pytest.raises(DatabaseError, match="only be added to"):
            raw.execute(statement)
    raw.execute("DROP TRIGGER no_update")
    told = json.loads(raw.execute("SELECT told FROM entries WHERE number = 2").fetchone()[0])
    raw.execute("UPDATE entries SET told = ? WHERE number = 2", (json.dumps({**told, "actor": "nobody"}),))
    raw.close()
    assert wrong(log) == ["entry 2 was changed"]


def test_every_change_of_a_log_that_cannot_be_written_says_so(log: AuditLog) -> None:
    act = log.begin("key:abc", "collection.create", {}, "here")
    log._chain.connection.execute("PRAGMA query_only = 1")  # as on a file system that became read-only
    changes: list[Callable[[], object]] = [
        lambda: log.add("key:abc", "collection.create", {}),
        lambda: log.begin("key:abc", "collection.create", {}, "here"),
        lambda: log.resume(act.number, {"step": 1}),
        lambda: log.end(act, {}),
        lambda: log.handed_out(act.number),
        log.prune_keys,
    ]
    for change in changes:
        with pytest.raises(StoreUnavailable, match="audit log"):
            change()
    assert [open_act.number for open_act in log.open_acts()] == [act.number]


def test_threads_and_processes_add_to_one_chain(tmp_path: Path, log: AuditLog) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=add_many, args=(tmp_path,))
    process.start()
    threads = [threading.Thread(target=filled, args=(log, 20)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.join(60)
    assert process.exitcode == 0
    assert len(log.entries()) == 80
    assert wrong(log) == []


def add_many(folder: Path) -> None:
    log = opened(folder)
    filled(log, 20)
    log.close()


def test_it_survives_being_opened_again_and_opens_with_no_other_key(tmp_path: Path, log: AuditLog) -> None:
    filled(log)
    log.close()
    again = opened(tmp_path)
    assert (len(again.entries()), wrong(again)) == (5, [])
    again.close()
    with pytest.raises(DataFault):
        AuditLog(tmp_path / "audit.db", UID, bytes(32), SIGNER)
    assert b"collection.create" not in all_bytes(tmp_path)
