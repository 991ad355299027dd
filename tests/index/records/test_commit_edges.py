"""Commits at their edges: where the disk fails, how many writes go together, and what many of them have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from sqlcipher3 import dbapi2

from index import (
    Collection,
    KeptPicture,
    Origin,
    Outcome,
    OutcomeUnknown,
    PicturePolicy,
    Quota,
    RecordWrite,
    SourceBatch,
    SourceMark,
    StorageLimits,
    StoreUnavailable,
)
from index.records.extensions import source_batch, sources
from index.records.extensions.withdrawn import reinstate
from index.records.group_commit import GroupCommit, Write
from index.records.transaction import Transaction
from index.types.quota import Usage
from tests.support.data.collections import SPEC, directory, loaded, now_ms, record, vector


class Failing:
    """A connection that fails with a code of SQLite at statements that begin so; it notes who commits."""

    def __init__(self, connection: Any, statement: str = "none", code: int = 0) -> None:
        self._connection, self._statement, self._code = connection, statement, code
        self.committed_by: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: object) -> object:
        if statement == "COMMIT":
            self.committed_by.append(threading.current_thread().name)
        if statement.startswith(self._statement):
            error = dbapi2.OperationalError("on purpose")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(statement, *values)


BATCH = SourceBatch(1, "feed", "run-1")
T = TypeVar("T")


def written(collection: Collection, body: Callable[[Transaction], T]) -> T:
    return loaded(collection).commit.run(body)


def followed(number: int) -> RecordWrite:
    return replace(record(number, f"p{number}"), digest=b"d", origin=Origin(b"u"), mark=SourceMark("feed", b"i"))


IOERR, FULL = dbapi2.SQLITE_IOERR, dbapi2.SQLITE_FULL


@pytest.mark.parametrize("count", [1, 200])
@pytest.mark.parametrize(
    ("statement", "code", "unknown", "closed"),
    [
        ("COMMIT", IOERR, True, True), ("COMMIT", IOERR | 3 << 8, True, True), ("COMMIT", FULL, False, False),
        ("COMMIT", FULL | 1 << 8, False, False), ("BEGIN", IOERR, False, True), ("BEGIN", FULL, False, False),
        ("SAVEPOINT", IOERR, False, True), ("RELEASE", FULL, False, False),
    ],
)  # fmt: skip
def test_only_a_disk_that_fails_at_the_commit_leaves_the_outcome_unknown(
    collection: Collection, statement: str, code: int, unknown: bool, closed: bool, count: int
) -> None:
    collection.upsert([record(0)])
    commit = loaded(collection).commit
    connection = commit._connection
    commit._connection = Failing(connection, statement, code)
    with pytest.raises(StoreUnavailable, match="on purpose") as caught:
        collection.upsert([record(n) for n in range(1, 1 + count)])
    assert isinstance(caught.value, OutcomeUnknown) is unknown
    commit._connection = connection
    assert commit.closed is closed
    assert not connection.in_transaction
    assert collection.count() == 1
    if closed:
        with pytest.raises(StoreUnavailable, match="an earlier write failed"):
            collection.upsert([record(1)])
    else:
        assert [r.sequence for r in collection.upsert([record(1), record(2)])] == [2, 3]


def test_where_a_failed_transaction_cannot_be_taken_back_either_no_more_is_written(collection: Collection) -> None:
    """SQLite itself refuses, since a rule of the connection forbids both."""
    collection.upsert([record(0)])
    connection = loaded(collection).commit._connection
    refused = {dbapi2.SQLITE_DELETE, dbapi2.SQLITE_TRANSACTION}
    statements = list[str]()

    def rule(action: int, name: str | None, *_: object) -> int:
        if action == dbapi2.SQLITE_TRANSACTION:
            statements.append(str(name))
            return dbapi2.SQLITE_DENY if name == "ROLLBACK" else dbapi2.SQLITE_OK
        return dbapi2.SQLITE_DENY if action in refused else dbapi2.SQLITE_OK

    connection.set_authorizer(rule)
    with pytest.raises(StoreUnavailable, match="not authorized"):
        collection.delete(["0"])
    assert "ROLLBACK" in statements
    connection.set_authorizer(None)
    with pytest.raises(StoreUnavailable, match="an earlier write failed"):
        collection.upsert([record(1)])


@pytest.mark.parametrize(("count", "beside"), [(1, False), (127, False), (128, True), (129, True)])
def test_many_changes_are_committed_beside_the_writer(collection: Collection, count: int, beside: bool) -> None:
    commit = loaded(collection).commit
    watched = commit._connection = Failing(commit._connection)
    collection.upsert([record(n) for n in range(count)])
    assert (watched.committed_by == ["commit"]) is beside
    assert len(watched.committed_by) == 1


@pytest.mark.parametrize("waiting", [1, 255, 256, 257, 600])
def test_at_most_256_writes_share_a_commit(collection: Collection, waiting: int) -> None:
    commit = loaded(collection).commit
    watched = commit._connection = Failing(commit._connection)
    writes = [Write(lambda transaction: transaction.sequence) for _ in range(waiting)]
    commit._waiting.extend(writes)
    with commit.lock:
        commit._lead()
    assert GroupCommit.MAX_GROUP == 256
    assert [w.done for w in writes] == [n < 256 for n in range(waiting)]
    assert len(watched.committed_by) == 1
    commit._waiting.clear()


# ---- pictures that are kept with records


@pytest.fixture
def copies(tmp_path: Any) -> Collection:
    return directory(tmp_path).create(replace(SPEC, picture_policy=PicturePolicy.ENCRYPTED_COPY))


def write(collection: Collection, seed: int, digest: bytes | None, kept: KeptPicture | None) -> Outcome:
    if kept is not None:
        collection.pictures.announce(kept.object_id)
    return collection.upsert([RecordWrite("1", vector(seed), digest=digest, kept=kept)])[0].outcome


def test_a_copy_stays_with_the_same_vector_and_goes_with_another(copies: Collection) -> None:
    first = KeptPicture("a", 100)
    assert write(copies, 1, b"d", first) is Outcome.CREATED
    assert write(copies, 1, b"d", None) is Outcome.UNCHANGED
    assert copies.pictures.of(["1"]) == {"1": first}
    larger = KeptPicture("b", 150)
    used = copies.usage().bytes
    assert write(copies, 1, b"d", larger) is Outcome.UNCHANGED  # the record is; its copy is another
    assert copies.pictures.of(["1"]) == {"1": larger}
    assert copies.usage().bytes == used + 50
    assert write(copies, 2, b"e", None) is Outcome.UPDATED
    assert copies.pictures.of(["1"]) == {}
    assert copies.usage().bytes == used - 100
    assert sorted(copies.pictures.loose()) == ["a", "b"]


# ---- records of sources


@pytest.fixture
def begun(collection: Collection) -> Collection:
    """Records 1 to 4 of a source, under epoch 1."""
    collection.sourced.claim(1)
    collection.sourced.apply(BATCH, [followed(n) for n in range(1, 5)])
    return collection


def test_what_is_withdrawn_and_comes_back_is_of_the_time_that_it_is(begun: Collection) -> None:
    before = begun.get(["1"])["1"]
    begun.sourced.withdraw(BATCH, ["1"])
    (at,) = [r[0] for r in loaded(begun).store.connection.execute("SELECT withdrawn_ms FROM withdrawn")]
    assert isinstance(at, int)
    assert abs(at - now_ms()) < 60_000
    assert written(begun, lambda t: reinstate(t, "feed", ["1"])) == ["1"]
    after = begun.get(["1"])["1"]
    assert before.created_ms == after.created_ms
    assert before.updated_ms <= after.updated_ms <= now_ms()


def test_withdrawn_records_of_a_product_are_forgotten_with_it(begun: Collection) -> None:
    begun.sourced.withdraw(BATCH, ["1", "2", "3"])
    assert written(begun, lambda t: t.forget_product("p2")) == 1
    assert written(begun, lambda t: t.forget_product("p2")) == 0
    assert written(begun, lambda t: reinstate(t, "feed", ["1", "2", "3"])) == ["1", "3"]


def test_growth_of_a_transaction_is_that_of_all_that_it_did(begun: Collection) -> None:
    def grow(transaction: Any) -> Usage:
        transaction.grow(Usage(2, 30))
        transaction.grow(Usage(-1, 12))
        growth: Usage = transaction.growth
        transaction.growth = Usage()
        return growth

    assert written(begun, grow) == Usage(1, 42)


def test_a_quota_refuses_a_larger_copy_and_never_a_smaller_one(copies: Collection) -> None:
    write(copies, 1, b"d", KeptPicture("a", 100))
    used = copies.usage().bytes
    loaded(copies).commit._allowance._limits = StorageLimits(lambda: Quota(bytes=used + 10))  # type: ignore[union-attr]
    assert write(copies, 1, b"d", KeptPicture("b", 111)) is Outcome.FAILED
    assert copies.pictures.of(["1"]) == {"1": KeptPicture("a", 100)}
    assert write(copies, 1, b"d", KeptPicture("c", 110)) is Outcome.UNCHANGED
    assert copies.usage().bytes == used + 10
    loaded(copies).commit._allowance._limits = StorageLimits(lambda: Quota(bytes=1))  # type: ignore[union-attr]
    assert write(copies, 1, b"d", KeptPicture("e", 109)) is Outcome.UNCHANGED
    assert write(copies, 1, b"d", KeptPicture("f", 110)) is Outcome.FAILED
    assert write(copies, 1, b"d", KeptPicture("g", 109)) is Outcome.UNCHANGED
    assert copies.pictures.of(["1"]) == {"1": KeptPicture("g", 109)}
    assert copies.usage().bytes == used + 9


def test_pages_and_failures_of_a_source_have_their_limits() -> None:
    assert (sources._PAGE, source_batch.MAX_FAILURES) == (5000, 10_000)
