from pathlib import Path

import pytest

from index import Collection, Outcome, RecordWrite, Region, SearchQuery
from index.records.insert_statement import MOST_AT_ONCE
from index.types.companions import Origin, SourceMark
from tests.support.data.collections import SPEC, directory, ids, loaded, record, vector


@pytest.mark.parametrize("records", [1, MOST_AT_ONCE - 1, MOST_AT_ONCE, MOST_AT_ONCE + 1, 5 * MOST_AT_ONCE])
def test_records_that_are_inserted_together_keep_their_own_ids_numbers_and_vectors(
    tmp_path: Path, records: int
) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    collection.upsert([record(1000)])
    collection.delete(["1000"])  # its row id and number are not used again
    results = collection.upsert([record(n, f"p{n}", size=float(n)) for n in range(records)])
    assert [(r.outcome, r.sequence) for r in results] == [(Outcome.CREATED, 3 + n) for n in range(records)]
    _hold_their_own(collection, records)
    assert [r.row_id for r in collection.list(0, 100)] == [2 + n for n in range(records)]
    tenant.close()
    _hold_their_own(directory(tmp_path).collection("things"), records)


def _hold_their_own(collection: Collection, records: int) -> None:
    for n in range(records):
        hit = collection.search(SearchQuery(vector(n), k=1)).groups[0][0]
        assert (hit.record.record_id, hit.record.product_id) == (str(n), f"p{n}")
        assert hit.record.attributes == {"size": float(n)}
        assert hit.distance < 1e-3


def test_new_and_known_records_bad_ones_and_repeated_ids_in_one_batch_each_get_their_own_result(
    collection: Collection,
) -> None:
    collection.upsert([record(n) for n in range(0, 30, 3)])
    batch = [record(n, color="new") for n in range(30)]
    batch[7] = RecordWrite("", vector(7))
    batch.insert(11, record(10, color="newer"))
    results = collection.upsert(batch)
    outcomes = {r.record_id: r.outcome for r in results}
    assert [r.record_id for r in results] == [w.record_id for w in batch]
    assert outcomes.pop("") is Outcome.FAILED
    assert outcomes == {
        str(n): Outcome.UPDATED if n % 3 == 0 or n == 10 else Outcome.CREATED for n in range(30) if n != 7
    }
    sequences = [r.sequence for r in results if r.outcome is not Outcome.FAILED]
    assert sequences == list(range(11, 11 + len(sequences)))
    assert collection.count('color = "new"') == 28
    assert ids(collection, SearchQuery(vector(10), k=1, filter='color = "newer"')) == ["10"]


def test_what_else_is_known_of_a_record_is_stored_with_it(collection: Collection) -> None:
    origin, mark = Origin(b"u" * 32, '"etag"', "yesterday"), SourceMark("feed", b"i" * 32)
    region = Region(0.125, 0.25, 0.5, 0.75)
    collection.upsert([
        RecordWrite("plain", vector(1)),
        RecordWrite("known", vector(2), region=region, digest=b"d" * 32, origin=origin, mark=mark),
    ])  # fmt: skip
    rows = loaded(collection).store.connection.execute(
        "SELECT record_id, digest, url_digest, etag, last_modified, source, item_digest, region IS NULL FROM records"
    ).fetchall()  # fmt: skip
    assert rows == [
        ("plain", None, None, None, None, None, None, 1),
        ("known", b"d" * 32, b"u" * 32, '"etag"', "yesterday", "feed", b"i" * 32, 0),
    ]
    assert collection.list(1, 10)[0].region == region
