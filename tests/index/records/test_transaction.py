"""What one transaction changes: numbers, sizes, tombstones and what the rows in memory are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest

from index import Collection, Outcome, Quota, QuotaExceeded, RecordExists, RecordNotFound, RecordPatch, StorageLimits
from index.records.row_changes import record_size
from index.records.transaction import Transaction
from index.types.companions import SourceMark
from index.types.errors import DigestMoved
from index.types.sources import SourceBatch
from tests.support.data.collections import loaded, record, vector

VECTOR_BYTES = 64
T = TypeVar("T")


def written(collection: Collection, body: Callable[[Transaction], T]) -> T:
    return loaded(collection).commit.run(body)


def tombstones(collection: Collection) -> list[int]:
    """Sequence numbers of deletions."""
    return [r[0] for r in loaded(collection).store.connection.execute("SELECT sequence FROM tombstones ORDER BY 1")]


def meta(collection: Collection, name: str) -> int:
    row = loaded(collection).store.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(row[0])


def limited(collection: Collection, **limits: int) -> None:
    loaded(collection).commit._allowance._limits = StorageLimits(lambda: Quota(**limits))  # type: ignore[union-attr]


def test_every_change_has_the_next_number_and_counts_and_sizes_follow(collection: Collection) -> None:
    results = collection.upsert([record(1, "p"), record(2), record(1, "q"), record(3, note="é")])
    assert [(r.record_id, r.outcome, r.sequence) for r in results] == [
        ("1", Outcome.CREATED, 1), ("2", Outcome.CREATED, 2), ("1", Outcome.UPDATED, 3), ("3", Outcome.CREATED, 4),
    ]  # fmt: skip
    size = 3 * (VECTOR_BYTES + 1) + len("q") + 2 * len("{}") + len('{"note":"é"}'.encode())
    assert (meta(collection, "sequence"), meta(collection, "records"), meta(collection, "bytes")) == (4, 3, size)
    assert collection.delete(["2", "nothing", "2"]) == 1
    assert (meta(collection, "sequence"), meta(collection, "records")) == (5, 2)
    assert meta(collection, "bytes") == size - VECTOR_BYTES - 1 - len("{}")
    assert tombstones(collection) == [5]
    unchanged = collection.upsert([record(1, "q")])[0]
    assert (unchanged.outcome, unchanged.sequence, meta(collection, "sequence")) == (Outcome.UNCHANGED, 0, 5)


def test_times_are_stored_as_whole_milliseconds(collection: Collection) -> None:
    """Also of what was withdrawn and comes back."""
    collection.sourced.claim(1)
    collection.upsert([replace(record(n), mark=SourceMark("feed", b"item")) for n in range(3)])
    collection.upsert([record(0, note="changed")])
    assert collection.sourced.withdraw(SourceBatch(1, "feed", "run"), ["1"]) == 1
    connection = loaded(collection).store.connection
    assert connection.execute("SELECT typeof(withdrawn_ms) FROM withdrawn").fetchall() == [("integer",)]
    assert collection.sourced.undo("feed", "run") == 1
    kinds = "SELECT DISTINCT typeof(created_ms), typeof(updated_ms) FROM records"
    assert connection.execute(kinds).fetchall() == [("integer", "integer")]


def test_a_deletion_counts_records_and_what_had_been_withdrawn_together(collection: Collection) -> None:
    collection.sourced.claim(1)
    collection.upsert([replace(record(n), mark=SourceMark("feed", b"item")) for n in range(6)])
    assert collection.sourced.withdraw(SourceBatch(1, "feed", "run"), ["0", "1", "2"]) == 3
    assert collection.delete(["0", "1", "2", "3", "4", "5"]) == 6  # three and three: no sum of bits
    assert collection.delete(["0", "3"]) == 0


def test_an_erasure_of_an_id_that_is_named_twice_counts_it_once(collection: Collection) -> None:
    collection.upsert([record(n, "p") for n in range(3)])
    assert collection.erase(["1", "1"], ["p", "p"]).records == 3
    assert collection.count() == 0


def test_a_record_counts_its_id_product_attributes_and_vector_in_bytes() -> None:
    assert record_size("é", "ü", '{"a":1}', vector(1)) == 2 + 2 + 7 + 64
    assert record_size("", "", "", b"12345") == 5


def test_insert_only_and_a_missing_vector_are_refused_one_by_one(collection: Collection) -> None:
    collection.upsert([replace(record(1), digest=b"d")])
    results = collection.upsert([record(1, "x"), record(2)], insert_only=True)
    assert [type(r.error) for r in results] == [RecordExists, type(None)]
    kept = replace(record(1, "x"), vector=None, digest=b"d")
    moved, unknown = replace(kept, digest=b"other"), replace(kept, record_id="9")
    results = collection.upsert([kept, moved, unknown])
    assert [r.outcome for r in results] == [Outcome.UPDATED, Outcome.FAILED, Outcome.FAILED]
    assert all(isinstance(r.error, DigestMoved) for r in results[1:])
    found = collection.get(["1"], vectors=True)["1"]
    assert found.product_id == "x"
    assert found.vector is not None
    assert np.allclose(found.vector, vector(1) / np.linalg.norm(vector(1)))


def test_an_equal_digest_keeps_the_vector_and_another_one_replaces_it(collection: Collection) -> None:
    collection.upsert([replace(record(1), digest=b"d")])
    first = collection.get(["1"], vectors=True)["1"]
    same = collection.upsert([replace(record(1), vector=vector(2), digest=b"d")])[0]
    assert same.outcome is Outcome.UNCHANGED
    assert collection.upsert([replace(record(1), vector=vector(3), digest=b"c")])[0].outcome is Outcome.UPDATED
    lower = collection.get(["1"], vectors=True)["1"]
    assert not np.array_equal(np.asarray(first.vector), np.asarray(lower.vector))
    assert collection.upsert([replace(record(1), vector=vector(2), digest=b"e")])[0].outcome is Outcome.UPDATED
    second = collection.get(["1"], vectors=True)["1"]
    assert not np.array_equal(np.asarray(first.vector), np.asarray(second.vector))
    assert collection.digests(["1"]) == {"1": b"e"}
    assert collection.upsert([replace(record(1), vector=vector(2), digest=None)])[0].outcome is Outcome.UPDATED
    assert collection.digests(["1"]) == {}
    assert collection.upsert([replace(record(1), vector=vector(2), digest=None)])[0].outcome is Outcome.UNCHANGED
    assert second.created_ms == first.created_ms <= second.updated_ms


def test_a_patch_changes_what_it_names(collection: Collection) -> None:
    collection.upsert([record(1, "p", a="x", b="y")])
    patches = [
        (
            RecordPatch("1", set_attributes={"c": "z"}, remove_attributes=frozenset({"a", "unknown"})),
            "p",
            {"b": "y", "c": "z"},
        ),
        (RecordPatch("1", product_id="q"), "q", {"b": "y", "c": "z"}),
        (RecordPatch("1", product_id=""), "", {"b": "y", "c": "z"}),
        (RecordPatch("1", set_attributes={"b": "n"}, remove_attributes=frozenset({"b"})), "", {"b": "n", "c": "z"}),
    ]
    for number, (patch, product, attributes) in enumerate(patches, 2):
        (result,) = collection.patch([patch])
        found = collection.get(["1"])["1"]
        assert (result.outcome, result.sequence) == (Outcome.UPDATED, number)
        assert (found.product_id, found.attributes) == (product, attributes)
    assert collection.patch([RecordPatch("1")])[0].outcome is Outcome.UNCHANGED
    assert isinstance(collection.patch([RecordPatch("9")])[0].error, RecordNotFound)


def test_rows_are_deleted_as_they_were_seen_and_not_as_they_were_written_since(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(4)])
    seen = [(r.row_id, r.sequence) for r in collection.list(0, 9)]
    collection.upsert([record(1, "changed")])
    assert written(collection, lambda t: t.delete_rows(seen)) == 3
    assert [r.record_id for r in collection.list(0, 9)] == ["1"]
    assert tombstones(collection) == [6, 7, 8]


def test_a_quota_refuses_a_block_record_by_record_and_takes_what_fits(collection: Collection) -> None:
    limited(collection, records=3)
    collection.upsert([record(1)])
    results = collection.upsert([record(n) for n in range(2, 7)])
    assert [r.outcome for r in results] == [Outcome.CREATED] * 2 + [Outcome.FAILED] * 3
    assert [r.sequence for r in results[:2]] == [2, 3]
    assert all(isinstance(r.error, QuotaExceeded) and r.record_id for r in results[2:])
    assert collection.upsert([record(1, "larger")])[0].outcome is Outcome.UPDATED


def test_a_quota_of_bytes_lets_records_shrink_and_grow_up_to_it(collection: Collection) -> None:
    collection.upsert([record(1, "p" * 10)])
    used = collection.usage().bytes
    limited(collection, bytes=used + 5)
    assert collection.upsert([record(1, "p" * 15)])[0].outcome is Outcome.UPDATED
    refused = collection.upsert([record(1, "p" * 16)])[0]
    assert isinstance(refused.error, QuotaExceeded)
    assert collection.get(["1"])["1"].product_id == "p" * 15
    limited(collection, bytes=1)
    assert collection.upsert([record(1, "p" * 14)])[0].outcome is Outcome.UPDATED
    assert collection.upsert([record(1, "q" * 14)])[0].outcome is Outcome.UPDATED  # as large as before
    assert isinstance(collection.upsert([record(1, "q" * 15)])[0].error, QuotaExceeded)
    assert collection.usage().bytes == used + 4


def test_what_is_stored_beside_records_counts_until_it_is_refused(collection: Collection) -> None:
    from index.types.quota import Usage

    limited(collection, bytes=10)

    def grow(transaction: Transaction) -> None:
        transaction.grow(Usage(0, 6))
        with pytest.raises(QuotaExceeded):
            transaction.grow(Usage(0, 5))
        transaction.grow(Usage(0, 4))

    written(collection, grow)
    assert meta(collection, "bytes") == 10


def test_many_records_some_of_them_new_are_answered_in_their_order(collection: Collection) -> None:
    collection.upsert([record(n) for n in range(0, 600, 3)])
    results = collection.upsert([record(n, "p") for n in range(600)])
    assert [r.record_id for r in results] == [str(n) for n in range(600)]
    assert [r.outcome is Outcome.UPDATED for r in results] == [n % 3 == 0 for n in range(600)]
    assert [r.sequence for r in results] == list(range(201, 801))
    assert collection.count("product_id = p") == 600


def test_what_fails_in_a_transaction_is_undone_with_its_numbers(collection: Collection) -> None:
    collection.upsert([record(1)])

    def fails(transaction: Transaction) -> None:
        transaction.delete_records(["1"])
        raise RuntimeError("second thoughts")

    with pytest.raises(RuntimeError):
        written(collection, fails)
    assert (meta(collection, "sequence"), meta(collection, "records"), tombstones(collection)) == (1, 1, [])
    assert collection.upsert([record(2)])[0].sequence == 2
