"""Batches of a run within one transaction, at the edges of what is counted, kept and brought back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import pytest

from index import Collection, Failure, Origin, RecordWrite, SourceBatch, SourceMark, StaleEpoch
from index.records.extensions import source_batch, sources
from index.records.extensions.source_batch import claim_epoch, forget_failures, read_epoch, read_failures
from index.records.extensions.sources import read_marks, release
from index.records.extensions.withdrawn import purge, reinstate, withdrawn_by
from index.records.transaction import Transaction
from tests.support.data.collections import loaded, now_ms, record

BATCH = SourceBatch(1, "feed", "run-1")
T = TypeVar("T")


def written(collection: Collection, body: Callable[[Transaction], T]) -> T:
    return loaded(collection).commit.run(body)


def read(collection: Collection, body: Callable[..., T], *arguments: object) -> T:
    return body(loaded(collection).store.connection, *arguments)


def followed(number: int, source: str = "feed") -> RecordWrite:
    return replace(
        record(number, f"p{number}"), digest=b"d", origin=Origin(b"u", '"v"', "m"), mark=SourceMark(source, b"i")
    )


@pytest.fixture
def begun(collection: Collection) -> Collection:
    """Records 1 to 4 of the source feed, and 9 of another, under epoch 1."""
    collection.sourced.claim(1)
    collection.sourced.apply(BATCH, [followed(n) for n in range(1, 5)])
    collection.sourced.apply(replace(BATCH, source="other", run="run-o"), [followed(9, "other")])
    return collection


def test_an_epoch_may_be_claimed_again_and_never_an_earlier_one(collection: Collection) -> None:
    assert read(collection, read_epoch) == 0
    for epoch in (3, 3, 7):
        written(collection, partial(claim_epoch, epoch=epoch))
        assert read(collection, read_epoch) == epoch
    with pytest.raises(StaleEpoch):
        written(collection, lambda t: claim_epoch(t, 6))
    assert read(collection, read_epoch) == 7


@pytest.mark.parametrize("epoch", [0, 2])
def test_only_the_run_of_this_very_epoch_writes(begun: Collection, epoch: int) -> None:
    with pytest.raises(StaleEpoch):
        begun.sourced.apply(replace(BATCH, epoch=epoch), [followed(5)])
    assert begun.get(["5"]) == {}


def test_a_run_withdraws_records_of_its_own_source_alone_and_counts_them(begun: Collection) -> None:
    assert begun.sourced.withdraw(BATCH, ["1", "9", "2", "nothing"]) == 2
    assert begun.sourced.withdraw(BATCH, ["1", "2"]) == 0
    assert begun.get(["1", "2", "3", "9"]).keys() == {"3", "9"}
    assert begun.sourced.counts("run-1") == {"created": 4, "deleted": 2}
    assert begun.sourced.counts("run-o") == {"created": 1}
    assert read(begun, withdrawn_by, "run-1") == ["1", "2"]
    assert read(begun, withdrawn_by, "run-o") == []


def test_a_withdrawn_record_that_comes_back_has_all_that_it_had_and_a_new_number(begun: Collection) -> None:
    before, marks = begun.get(["2"], vectors=True)["2"], read(begun, read_marks, "feed", "1")
    sequence, bytes_ = begun.stats().sequence, begun.usage().bytes
    begun.sourced.withdraw(BATCH, ["2"])
    assert begun.usage().bytes < bytes_
    assert written(begun, lambda t: reinstate(t, "feed", ["nothing", "2", "9"])) == ["2"]
    after = begun.get(["2"], vectors=True)["2"]
    assert after._replace(row_id=0, sequence=0, updated_ms=0, vector=None) == before._replace(
        row_id=0, sequence=0, updated_ms=0, vector=None
    )
    assert after.vector is not None
    assert (after.vector == before.vector).all()
    assert after.row_id != before.row_id
    assert (after.sequence, begun.stats().sequence) == (sequence + 2, sequence + 2)
    assert begun.usage().bytes == bytes_
    assert read(begun, read_marks, "feed", "1") == marks
    assert read(begun, withdrawn_by, "run-1") == []
    assert written(begun, lambda t: reinstate(t, "feed", ["2"])) == []


def test_a_record_is_brought_back_for_its_own_source_alone(begun: Collection) -> None:
    begun.sourced.withdraw(BATCH, ["1"])
    assert written(begun, lambda t: reinstate(t, "other", ["1"])) == []
    with pytest.raises(StaleEpoch):
        written(begun, lambda t: reinstate(t, "feed", ["1"], 2))
    assert written(begun, lambda t: reinstate(t, "feed", ["1"], 1)) == ["1"]


def test_a_record_that_is_withdrawn_twice_is_kept_once_as_it_was_last(begun: Collection) -> None:
    begun.sourced.withdraw(BATCH, ["1"])
    begun.sourced.apply(BATCH, [replace(followed(1), product_id="later")])
    begun.sourced.withdraw(replace(BATCH, run="run-2"), ["1"])
    assert read(begun, withdrawn_by, "run-1") == []
    assert read(begun, withdrawn_by, "run-2") == ["1"]
    assert written(begun, lambda t: reinstate(t, "feed", ["1"])) == ["1"]
    assert begun.get(["1"])["1"].product_id == "later"


def test_what_was_withdrawn_before_a_time_is_erased_and_what_came_at_it_is_not(begun: Collection) -> None:
    begun.sourced.withdraw(BATCH, ["1", "2"])
    (at,) = {r[0] for r in loaded(begun).store.connection.execute("SELECT withdrawn_ms FROM withdrawn")}
    assert abs(at - now_ms()) < 60_000
    assert written(begun, lambda t: purge(t, at)) == 0
    assert written(begun, lambda t: purge(t, at + 1)) == 2
    assert written(begun, lambda t: purge(t, at + 1)) == 0


def test_marks_and_failures_come_in_pages_in_order_of_ids(begun: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_PAGE", 3)
    assert [m.record_id for m in read(begun, read_marks, "feed", "")] == ["1", "2", "3"]
    assert [m.record_id for m in read(begun, read_marks, "feed", "3")] == ["4"]
    assert [m.record_id for m in begun.sourced.marks("feed")] == ["1", "2", "3", "4"]
    failures = [Failure(f"f{n}", b"u", "REASON", "said", lasting=bool(n % 2), line=n) for n in range(5)]
    begun.sourced.apply(replace(BATCH, failures=failures), [])
    page = read(begun, read_failures, "feed", "f1", 2)
    assert [(f.record_id, f.lasting, f.line, f.tries) for f in page] == [("f2", False, 2, 1), ("f3", True, 3, 1)]
    assert read(begun, read_failures, "other", "", 9) == []


def test_a_failure_is_reported_as_it_was_last_and_since_when(
    begun: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, at_s in enumerate((100, 200, 300)):
        monkeypatch.setattr("index.records.extensions.source_batch.time.time_ns", lambda t=at_s: t * 10**9)
        failure = Failure("x", b"u%d" % n, f"R{n}", f"m{n}", lasting=n == 2, line=n)
        begun.sourced.apply(replace(BATCH, failures=[failure]), [])
    (found,) = read(begun, read_failures, "feed", "", 9)
    assert found == Failure("x", b"u2", "R2", "m2", True, 2, 3, 100_000, 300_000)


def test_no_more_failures_are_kept_than_the_most_and_known_ones_are_counted_on(
    begun: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_batch, "MAX_FAILURES", 3)
    failures = [Failure(f"f{n}", b"u", "R", "m", lasting=False) for n in (1, 2, 3, 4, 1)]
    begun.sourced.apply(replace(BATCH, failures=failures[:2]), [])
    begun.sourced.apply(replace(BATCH, failures=failures), [])
    found = {f.record_id: f.tries for f in read(begun, read_failures, "feed", "", 9)}
    assert found == {"f1": 3, "f2": 2, "f3": 1}
    begun.sourced.apply(replace(BATCH, source="other", failures=failures[:1]), [])
    assert len(read(begun, read_failures, "other", "", 9)) == 1  # each source has its own most


def test_failures_are_forgotten_by_id_all_at_once_with_success_and_with_their_source(begun: Collection) -> None:
    failures = [Failure(f"{n}", b"u", "R", "m", lasting=False) for n in range(1, 7)]

    def left(source: str = "feed") -> list[str]:
        return [f.record_id for f in read(begun, read_failures, source, "", 9)]

    begun.sourced.apply(replace(BATCH, failures=failures), [])
    begun.sourced.apply(replace(BATCH, source="other", failures=failures[:2]), [])
    assert written(begun, lambda t: forget_failures(t, "feed", ["1", "1", "99"])) == 1
    begun.sourced.apply(BATCH, [followed(2)])
    begun.sourced.withdraw(BATCH, ["3"])
    begun.delete(["4"])
    assert (left(), left("other")) == (["5", "6"], ["1", "2"])
    assert written(begun, lambda t: forget_failures(t, "feed", None)) == 2
    assert (left(), left("other")) == ([], ["1", "2"])
    assert written(begun, lambda t: release(t, "other")) == 1
    assert left("other") == []
    assert read(begun, read_marks, "other", "") == []
    assert [m.record_id for m in read(begun, read_marks, "feed", "")] == ["1", "2"]


def test_what_failed_in_a_batch_is_neither_counted_as_done_nor_cleared(begun: Collection) -> None:
    begun.sourced.apply(replace(BATCH, failures=[Failure("7", b"u", "R", "m", lasting=True)]), [])
    bad = replace(followed(7), vector=np.asarray(followed(7).vector) * np.float32("nan"))
    results = begun.sourced.apply(replace(BATCH, run="run-2"), [bad, followed(8)])
    assert [r.error is None for r in results] == [False, True]
    assert begun.sourced.counts("run-2") == {"created": 1}
    assert len(begun.sourced.failures("feed")) == 1
