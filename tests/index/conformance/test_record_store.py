"""What every record store must do, whoever implements it: `index.contract.RecordStore`, clause by clause."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from index import (
    AnswerTooLarge,
    Origin,
    OutcomeUnknown,
    RecordPatch,
    RecordWrite,
    SourceMark,
    StaleEpoch,
    StoreUnavailable,
)
from index.contract import SOURCES, RecordStore, RecordTransaction, RecordWriter, SourceReads, SourceWrites
from index.records.extensions.registered import postgres_stores, record_stores
from index.records.prepare import prepare
from index.types.changes import RowChange
from index.types.record import Outcome, WriteResult
from index.types.sources import Failure, SourceBatch
from tests.support.data.collections import SPEC, directory, record, vector
from tests.support.data.remote_like import Fault, Faults, remote_store

BATCH = SourceBatch(1, "feed", "run-1")


class Sink:
    """A vector index that only notes what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, list[int]]] = []

    def stage(self, changes: Sequence[RowChange]) -> Staged:
        return Staged(self, [c.row_id for c in changes])


@dataclass
class Staged:
    sink: Sink
    row_ids: list[int]

    def publish(self, sequence: int) -> None:
        self.sink.seen.append((sequence, self.row_ids))

    def discard(self) -> None:
        pass


@dataclass
class Opened:
    """A store that is tried. faults: of its calls, where it is elsewhere."""

    root: Path
    kind: str
    url: str = ""

    def __post_init__(self) -> None:
        tenant = directory(self.root)
        self.place = tenant.create(SPEC).handle.place
        tenant.close()
        self.open()

    def open(self) -> None:
        """Opens everything anew, as after a crash: nothing is closed first."""
        self.faults, self.sink = Faults(), Sink()
        stores = postgres_stores(self.url) if self.url else record_stores()
        made: RecordStore = stores.open(self.place)
        self.store = made if self.kind != "remote" else remote_store(made, self.faults)
        self.writer: RecordWriter = self.store.writer(self.sink)

    def upsert(self, *writes: RecordWrite, insert_only: bool = False) -> list[WriteResult]:
        prepared = prepare(writes, SPEC.dimension)
        return self.writer.run(lambda t: t.upsert(prepared, insert_only=insert_only))

    def delete(self, *ids: str) -> int:
        return self.writer.run(lambda t: t.delete_records(ids))

    def batch(self, *writes: RecordWrite, **changed: object) -> list[WriteResult]:
        whole = replace(BATCH, writes=prepare(writes, SPEC.dimension), **changed)  # type: ignore[arg-type]
        return self.writer.run(lambda t: runs(t).apply_batch(whole))

    @property
    def sources(self) -> SourceReads:
        return self.store.companion(SOURCES)

    def ids(self) -> list[str]:
        return [r.record_id for r in self.store.page(0, 1000, vectors=False).records]


@pytest.fixture(params=["sqlite", "remote", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    url = request.getfixturevalue("postgres").url if request.param == "postgres" else ""
    made = Opened(tmp_path, request.param, url)
    yield made
    made.store.close()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path, "remote")
    yield made
    made.store.close()


def runs(transaction: RecordTransaction) -> SourceWrites:
    return transaction.companion(SOURCES)


def followed(number: int, digest: bytes = b"i1") -> RecordWrite:
    origin = Origin(b"u%d" % number, '"v1"')
    return replace(record(number), digest=b"p%d" % number, origin=origin, mark=SourceMark("feed", digest))


def test_numbers_grow_in_the_order_of_commits_and_each_commit_is_published(opened: Opened) -> None:
    first = opened.upsert(record(1), record(2))
    second = opened.upsert(record(1), record(3))
    assert [r.sequence for r in first] == [1, 2]
    assert [(r.outcome, r.sequence) for r in second] == [(Outcome.UNCHANGED, 0), (Outcome.CREATED, 3)]
    assert opened.delete("2", "nobody") == 1
    assert [sequence for sequence, _ in opened.sink.seen if sequence] == [2, 3, 4]
    assert opened.store.sequences().last == 4


def test_what_returned_is_there_after_a_crash(opened: Opened) -> None:
    opened.upsert(record(1, "p", color="red"), replace(record(2), digest=b"d", origin=Origin(b"u", "etag")))
    opened.open()
    found = opened.store.records(["1", "2", "3"], vectors=True)
    assert set(found) == {"1", "2"}
    assert (found["1"].product_id, found["1"].attributes) == ("p", {"color": "red"})
    shown = found["1"].vector
    assert shown is not None
    np.testing.assert_allclose(shown, vector(1) / np.linalg.norm(vector(1)), atol=1e-6)
    assert (opened.store.digests(["1", "2"]), opened.sources.origins(["2"])) == (
        {"2": b"d"},
        {"2": Origin(b"u", "etag")},
    )
    assert opened.store.usage().records == 2


def test_a_body_that_raises_undoes_all_of_it_and_nothing_else(opened: Opened) -> None:
    opened.upsert(record(1))

    def fails(transaction: RecordTransaction) -> None:
        transaction.delete_records(["1"])
        transaction.upsert(prepare([record(2)], SPEC.dimension), insert_only=False)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        opened.writer.run(fails)
    assert (opened.ids(), opened.store.sequences().last, opened.store.usage().records) == (["1"], 1, 1)


def test_writers_beside_each_other_all_get_their_own_results(opened: Opened) -> None:
    results: dict[int, list[WriteResult]] = {}
    threads = [
        threading.Thread(target=lambda n=n: results.update({n: opened.upsert(record(n), record(100 + n))}))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: [r.record_id for r in got] for n, got in results.items()} == {
        n: [str(n), str(100 + n)] for n in range(12)
    }
    numbers = sorted(r.sequence for got in results.values() for r in got)
    assert numbers == list(range(1, 25))
    assert opened.store.sequences().last == 24


def test_insert_only_and_patches_fail_alone(opened: Opened) -> None:
    opened.upsert(record(1, color="red"))
    refused, made = opened.upsert(record(1), record(2), insert_only=True)
    assert (refused.outcome, made.outcome) == (Outcome.FAILED, Outcome.CREATED)
    patched = opened.writer.run(lambda t: t.patch(RecordPatch("1", "p", {"size": 3.0}, frozenset({"color"}))))
    assert patched.outcome is Outcome.UPDATED
    assert opened.store.records(["1"], vectors=False)["1"].attributes == {"size": 3.0}
    assert opened.writer.run(lambda t: t.patch(RecordPatch("9"))).outcome is Outcome.FAILED


def test_rows_are_deleted_only_as_they_were_seen(opened: Opened) -> None:
    opened.upsert(record(1), record(2))
    rows = [(r.row_id, r.sequence) for r in opened.store.records(["1", "2"], vectors=False).values()]
    opened.upsert(record(1, color="new"))
    assert opened.writer.run(lambda t: t.delete_rows(rows)) == 1
    assert opened.ids() == ["1"]


def test_pages_go_by_row_id_and_end_before_the_limit(opened: Opened) -> None:
    opened.upsert(*[record(n, text="x" * 500) for n in range(9)])
    first = opened.store.page(0, 4, vectors=False)
    assert ([r.record_id for r in first.records], first.more) == (["0", "1", "2", "3"], True)
    rest = opened.store.page(first.records[-1].row_id, 10, vectors=True)
    assert ([r.record_id for r in rest.records], rest.more) == (["4", "5", "6", "7", "8"], False)
    assert all(r.vector is not None for r in rest.records)
    assert len(opened.store.page(0, 9, vectors=False, max_bytes=1500).records) == 2
    assert len(opened.store.page(0, 9, vectors=False, max_bytes=1).records) == 1
    chosen = [r.row_id for r in first.records][::2]
    assert [r.row_id for r in opened.store.page_of([*chosen, 10**6], 10, vectors=False).records] == chosen
    with pytest.raises(AnswerTooLarge):
        opened.store.records(["1", "2", "3"], vectors=False, max_bytes=1000)


def test_ids_are_looked_up_by_the_thousand(opened: Opened) -> None:
    opened.upsert(*[record(n) for n in range(5)])
    many = [str(n) for n in range(2000)]
    assert opened.store.known(many) == {"0", "1", "2", "3", "4"}
    row_ids = opened.store.row_ids(many)
    assert opened.store.rows(sorted(row_ids)).keys() == row_ids == set(opened.store.rows(range(3000)))


def test_changes_after_a_number_bring_an_older_state_up_to_date(opened: Opened) -> None:
    opened.upsert(record(1), record(2), record(3))
    then = opened.store.sequences().last
    old = {r.row_id: r.record_id for r in opened.store.page(0, 9, vectors=False).records}
    opened.delete("2")
    opened.upsert(record(1, color="red"), record(4))
    for change in opened.store.changes(then):
        old.pop(change.row_id, None)
        if change.record is not None:
            assert change.record.vector is not None
            assert change.record.sequence > then
            old[change.row_id] = change.record.record_id
    assert old == {r.row_id: r.record_id for r in opened.store.page(0, 9, vectors=False).records}
    numbers = [c.record.sequence for c in opened.store.changes(0) if c.record is not None]
    assert numbers == sorted(numbers)


def test_forgotten_deletions_are_said_to_be_forgotten(opened: Opened) -> None:
    opened.upsert(record(1), record(2))
    gone = opened.store.row_ids(["1"])
    opened.delete("1")
    assert (set(opened.store.tombstones()), opened.store.sequences().forgotten) == (set(gone), 0)
    opened.store.forget_tombstones(opened.store.sequences().last)
    assert opened.store.tombstones() == []
    assert opened.store.sequences() == (3, 3)
    opened.store.erase_traces()
    opened.store.release_memory()
    assert opened.store.give_space_back() == 0
    assert list(opened.store.problems()) == []


def test_what_was_learnt_is_kept(opened: Opened) -> None:
    assert opened.store.learnt("frame") == b""
    opened.store.note_learnt("frame", b"one")
    opened.store.note_learnt("frame", b"two")
    created_ms = opened.store.created_ms
    opened.open()
    assert (opened.store.learnt("frame"), opened.store.created_ms) == (b"two", created_ms)


def test_a_scan_sees_one_state(opened: Opened) -> None:
    opened.upsert(record(1), record(2))
    with opened.store.scan() as records:
        opened.delete("1")
        opened.upsert(record(3))
        assert [r.record_id for r in records] == ["1", "2"]
    assert opened.ids() == ["2", "3"]


def test_while_writing_is_paused_nothing_commits_and_reads_go_on(opened: Opened) -> None:
    opened.upsert(record(1))
    begun, done = threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        opened.upsert(record(2))
        done.set()

    writer = threading.Thread(target=write)
    with opened.store.paused():
        writer.start()
        assert begun.wait(10)
        assert not done.wait(0.02)
        assert [c.row_id for c in opened.store.changes(0)] == list(opened.store.row_ids(["1"]))
        opened.store.note_learnt("queries", b"q")
    writer.join()
    assert (done.is_set(), opened.ids()) == (True, ["1", "2"])


def test_a_batch_is_one_transaction_under_its_epoch(opened: Opened) -> None:
    opened.writer.run(lambda t: runs(t).claim_epoch(1))
    failure = Failure("9", b"u9", "DECODE", "not a picture", True)
    opened.batch(followed(2), followed(10), followed(1), failures=[failure], counts={"seen": 4})
    assert [m.record_id for m in opened.sources.marks("feed", "")] == ["1", "10", "2"]
    assert [m.record_id for m in opened.sources.marks("feed", "1")] == ["10", "2"]
    assert [f.record_id for f in opened.sources.failures("feed", "", 10)] == ["9"]
    assert opened.sources.counts("run-1") == {"created": 3, "failed": 1, "seen": 4}
    opened.writer.run(lambda t: runs(t).claim_epoch(2))
    assert opened.sources.epoch() == 2
    before = opened.store.sequences()
    stale: list[Callable[[RecordTransaction], object]] = [
        lambda t: runs(t).claim_epoch(1), lambda t: runs(t).apply_batch(BATCH),
        lambda t: runs(t).withdraw(BATCH, ["1"]),
        lambda t: runs(t).reinstate("feed", ["1"], 1),
    ]  # fmt: skip
    for body in stale:
        with pytest.raises(StaleEpoch):
            opened.writer.run(body)
    assert (opened.store.sequences(), len(opened.sources.marks("feed", ""))) == (before, 3)
    assert opened.writer.run(lambda t: runs(t).forget_failures("feed", None)) == 1
    opened.writer.run(lambda t: runs(t).forget_counts("run-1"))
    assert (
        opened.sources.failures("feed", "", 9),
        opened.sources.counts("run-1"),
    ) == ([], {})
    assert opened.writer.run(lambda t: runs(t).release("feed")) == 3
    assert opened.sources.marks("feed", "") == []


def test_what_was_withdrawn_comes_back_as_it_was_until_it_is_purged(opened: Opened) -> None:
    opened.writer.run(lambda t: runs(t).claim_epoch(1))
    opened.batch(followed(1), followed(2), followed(3))
    assert opened.writer.run(lambda t: runs(t).withdraw(BATCH, ["1", "2", "3", "4"])) == 3
    assert (opened.ids(), opened.sources.withdrawn_by("run-1")) == ([], ["1", "2", "3"])
    assert opened.store.known(["1"]) == {"1"}
    assert opened.store.tombstones() == []
    assert opened.writer.run(lambda t: runs(t).reinstate("feed", ["1", "9"])) == ["1"]
    assert opened.sources.marks("feed", "") == [("1", b"i1", b"u1")]
    assert opened.delete("2") == 1
    assert opened.writer.run(lambda t: runs(t).purge(1 << 60)) == 1
    assert (opened.sources.withdrawn_by("run-1"), opened.ids()) == ([], ["1"])


def test_a_closed_store_refuses(opened: Opened) -> None:
    opened.upsert(record(1))
    opened.store.close()
    for call in (lambda: opened.store.usage(), lambda: opened.ids(), lambda: opened.upsert(record(2))):
        with pytest.raises(StoreUnavailable):
            call()
    opened.open()
    opened.writer.close(StoreUnavailable("no more"))
    assert opened.writer.closed
    with pytest.raises(StoreUnavailable, match="no more"):
        opened.upsert(record(2))
    assert opened.ids() == ["1"]


def test_a_call_that_timed_out_did_nothing(remote: Opened) -> None:
    remote.faults.plan("run", Fault.TIMED_OUT)
    with pytest.raises(StoreUnavailable):
        remote.upsert(record(1))
    remote.faults.plan("page", Fault.TIMED_OUT)
    with pytest.raises(StoreUnavailable):
        remote.ids()
    assert remote.ids() == []
    assert remote.upsert(record(1))[0].outcome is Outcome.CREATED


@pytest.mark.parametrize("fault", [Fault.CUT_OFF, Fault.LOST])
def test_after_an_unknown_outcome_the_state_is_read_and_the_write_is_safe_to_repeat(
    remote: Opened, fault: Fault
) -> None:
    remote.writer.run(lambda t: runs(t).claim_epoch(1))
    stands = fault is Fault.LOST
    remote.faults.plan("run", fault)
    with pytest.raises(OutcomeUnknown):
        remote.batch(followed(1), followed(2))
    assert remote.ids() == (["1", "2"] if stands else [])
    assert {m.record_id for m in remote.sources.marks("feed", "")} == set(remote.ids())
    again = remote.batch(followed(1), followed(2))
    assert {r.outcome for r in again} == {Outcome.UNCHANGED if stands else Outcome.CREATED}
    remote.faults.plan("run", fault)
    with pytest.raises(OutcomeUnknown):
        remote.upsert(record(3), insert_only=True)
    refused = remote.upsert(record(3), insert_only=True)[0].outcome
    assert refused is (Outcome.FAILED if stands else Outcome.CREATED)
    remote.faults.plan("run", fault)
    with pytest.raises(OutcomeUnknown):
        remote.delete("1")
    assert remote.delete("1") == (0 if stands else 1)
    assert (remote.ids(), remote.store.usage().records) == (["2", "3"], 2)
