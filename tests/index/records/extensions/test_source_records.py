"""Records of a source: what a run may change, and what other writes cannot break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from index import (
    Collection,
    Failure,
    Origin,
    Quota,
    QuotaExceeded,
    RecordPatch,
    RecordWrite,
    SearchQuery,
    SourceBatch,
    SourceMark,
    StaleEpoch,
    StorageLimits,
)
from tests.support.data import collections
from tests.support.data.collections import ids, record, vector

BATCH = SourceBatch(1, "feed", "run-1")


def followed(number: int, digest: bytes = b"i1") -> RecordWrite:
    origin = Origin(b"u%d" % number, '"v1"')
    return replace(record(number, size="42"), digest=b"p", origin=origin, mark=SourceMark("feed", digest))


def begun(collection: Collection, records: Sequence[RecordWrite]) -> None:
    collection.sourced.claim(1)
    assert all(r.error is None for r in collection.sourced.apply(BATCH, records))


def test_marks_come_back_in_order_of_ids_with_the_digests_that_were_stored(collection: Collection) -> None:
    begun(collection, [followed(2), followed(10), followed(1)])
    collection.upsert([record(3)])
    marks = [(m.record_id, m.item_digest, m.url_digest) for m in collection.sourced.marks("feed")]
    assert marks == [("1", b"i1", b"u1"), ("10", b"i1", b"u10"), ("2", b"i1", b"u2")]
    assert list(collection.sourced.marks("other")) == []


def test_a_run_that_another_has_followed_writes_nothing_any_more(collection: Collection) -> None:
    begun(collection, [followed(1)])
    collection.sourced.claim(2)
    with pytest.raises(StaleEpoch):
        collection.sourced.apply(BATCH, [followed(2)])
    with pytest.raises(StaleEpoch):
        collection.sourced.withdraw(BATCH, ["1"])
    with pytest.raises(StaleEpoch):
        collection.sourced.reinstate("feed", ["1"], BATCH.epoch)
    with pytest.raises(StaleEpoch):
        collection.sourced.claim(1)
    assert collection.get(["1", "2"]).keys() == {"1"}
    assert collection.sourced.epoch() == 2


def test_a_record_that_came_back_stays_in_snapshots_until_it_is_deleted(tmp_path: Path) -> None:
    tenant = collections.directory(tmp_path)
    collection = tenant.create(collections.SPEC)
    begun(collection, [followed(1), followed(2)])
    snapshot = collection.keep_snapshot().snapshot_id

    def restored(name: str) -> list[str]:
        return [r.record_id for r in tenant.restore("things", snapshot, name).list(0, 9)]

    collection.sourced.withdraw(BATCH, ["1"])
    assert restored("withdrawn") == ["1", "2"]
    assert collection.sourced.reinstate("feed", ["1"]) == ["1"]
    assert restored("back") == ["1", "2"]
    collection.delete(["1"])
    assert restored("deleted") == ["2"]


def test_a_record_that_a_client_changes_no_longer_looks_unchanged(collection: Collection) -> None:
    begun(collection, [followed(1), followed(2)])
    collection.patch([RecordPatch("1", set_attributes={"size": "43"})])
    collection.patch([RecordPatch("2", set_attributes={"size": "42"})])  # changes nothing
    assert [m.item_digest for m in collection.sourced.marks("feed")] == [None, b"i1"]


def test_a_record_that_a_client_writes_anew_follows_no_source_any_more(collection: Collection) -> None:
    begun(collection, [followed(1)])
    collection.upsert([record(1, size="43")])
    assert list(collection.sourced.marks("feed")) == []
    assert collection.sourced.withdraw(BATCH, ["1"]) == 0
    assert collection.get(["1"])


def test_what_a_run_withdraws_is_gone_from_searches_and_comes_back_as_it_was(collection: Collection) -> None:
    begun(collection, [followed(1), followed(2)])
    before = collection.get(["1"], vectors=True)["1"]
    assert collection.sourced.withdraw(BATCH, ["1", "missing"]) == 1
    assert ids(collection, SearchQuery(vector(1), k=2)) == ["2"]
    assert collection.usage().records == 1
    assert collection.sourced.withdrawn_by("run-1") == 1
    assert collection.sourced.undo("feed", "run-1") == 1
    after = collection.get(["1"], vectors=True)["1"]
    assert ids(collection, SearchQuery(vector(1), k=1)) == ["1"]
    assert (after.attributes, after.created_ms) == (before.attributes, before.created_ms)
    assert after.updated_ms >= before.updated_ms
    assert isinstance(after.updated_ms, int)
    assert after.vector is not None
    assert (after.vector == before.vector).all()
    assert [m.record_id for m in collection.sourced.marks("feed")] == ["1", "2"]
    assert collection.digests(["1"]) == {"1": b"p"}


def test_an_id_that_was_taken_meanwhile_keeps_what_it_has(collection: Collection) -> None:
    begun(collection, [followed(1)])
    collection.sourced.withdraw(BATCH, ["1"])
    collection.upsert([record(1, size="new")])
    assert collection.sourced.undo("feed", "run-1") == 0
    assert collection.get(["1"])["1"].attributes == {"size": "new"}


def test_withdrawn_records_are_erased_after_seven_days_and_by_a_deletion_at_once(collection: Collection) -> None:
    begun(collection, [followed(1), followed(2)])
    collection.sourced.withdraw(BATCH, ["1", "2"])
    assert collection.delete(["2"]) == 1
    assert collection.sourced.purge() == 0
    now = collections.now_ms() + 7 * 86_400_000
    assert collection.sourced.purge(now + 60_000) == 1
    assert collection.sourced.undo("feed", "run-1") == 0


def test_kept_snapshots_keep_what_was_withdrawn_until_it_is_erased(collection: Collection) -> None:
    begun(collection, [followed(1), followed(2)])
    collection.keep_snapshot()
    collection.sourced.withdraw(BATCH, ["1"])
    collection.compact()
    assert collection.kept.list()[0].records == 2
    collection.sourced.undo("feed", "run-1")
    collection.compact()
    assert collection.kept.list()[0].records == 2
    collection.delete(["1"])  # the row that it has now, and the one that it had before
    collection.compact()
    assert collection.kept.list()[0].records == 1
    collection.sourced.withdraw(BATCH, ["2"])
    collection.sourced.purge(collections.now_ms() + 8 * 86_400_000)
    collection.compact()
    assert collection.kept.list()[0].records == 0


def test_what_comes_back_counts_towards_the_quota(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(collection, [followed(1)])
    collection.sourced.withdraw(BATCH, ["1"])
    allowance = collections.loaded(collection).commit._allowance
    monkeypatch.setattr(allowance, "_limits", StorageLimits(lambda: Quota(records=1)))
    collection.upsert([record(5)])
    with pytest.raises(QuotaExceeded):
        collection.sourced.undo("feed", "run-1")
    assert collection.get(["1"]) == {}


def test_failures_are_counted_and_cleared_by_success(collection: Collection) -> None:
    begun(collection, [])
    failure = Failure("1", b"u1", "URL_NOT_FOUND", "status 404", lasting=True, line=7)
    collection.sourced.apply(replace(BATCH, failures=[failure]), [])
    collection.sourced.apply(replace(BATCH, failures=[failure], counts={"encoded": 2}), [])
    (found,) = collection.sourced.failures("feed")
    assert (found.tries, found.reason, found.lasting, found.line) == (2, "URL_NOT_FOUND", True, 7)
    assert collection.sourced.counts("run-1") == {"failed": 2, "encoded": 2}
    collection.sourced.apply(BATCH, [followed(1)])
    collection.sourced.apply(BATCH, [followed(1)])
    collection.sourced.withdraw(BATCH, ["1", "2"])
    assert collection.sourced.counts("run-1") == {"created": 1, "unchanged": 1, "deleted": 1, "failed": 2, "encoded": 2}
    assert collection.sourced.failures("feed") == []
    collection.sourced.forget_counts("run-1")
    assert collection.sourced.counts("run-1") == {}


def test_a_bad_record_fails_alone_within_a_batch(collection: Collection) -> None:
    collection.sourced.claim(1)
    bad = replace(followed(2), vector=vector(2) * float("nan"))
    results = collection.sourced.apply(BATCH, [followed(1), bad])
    assert [r.error is None for r in results] == [True, False]


def test_releasing_a_source_leaves_its_records(collection: Collection) -> None:
    begun(collection, [followed(1)])
    assert collection.sourced.release("feed") == 1
    assert list(collection.sourced.marks("feed")) == []
    assert collection.get(["1"])
