"""Payloads of hits, packed into bytes and read again."""

from __future__ import annotations

import pytest

from index.types.attributes import attributes_to_json
from index.types.record import Attributes, Region, StoredRecord
from index.vectors.segment.payloads import CHUNK_ROWS, Payloads, pack_record, unpack_records

PLAIN: Attributes = {"color": "red", "price": 1.5, "sold": True}
LISTS: Attributes = {"tags": ("a", "b"), "color": "[red]"}
BRACKET: Attributes = {"color": "[ red"}


def record(number: int, attributes: Attributes, region: Region | None = None) -> StoredRecord:
    return StoredRecord(number, f"r{number}", "p", attributes, region, "f" * 16, number, 1, 2)


def packed(one: StoredRecord) -> bytes:
    return pack_record(one, attributes_to_json(one.attributes))


@pytest.mark.parametrize(
    "records",
    [
        [],
        [record(1, PLAIN), record(2, {})],
        [record(1, PLAIN), record(2, LISTS), record(3, BRACKET)],
        [record(1, PLAIN, Region(0.1, 0.2, 0.3, 0.4)), record(2, PLAIN)],
        [record(1, BRACKET)],
    ],
    ids=["none", "plain", "with a list", "with a region", "with a text that looks like a list"],
)
def test_records_are_read_as_they_were_packed(records: list[StoredRecord]) -> None:
    numbers = [r.row_id for r in records]
    assert unpack_records([packed(r) for r in records], numbers, numbers, "f" * 16) == records


def test_records_are_found_by_slot_across_chunks() -> None:
    payloads = Payloads()
    for number in range(CHUNK_ROWS + 3):
        payloads.append(b"%d" % number)
    wanted = [0, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 2]
    assert payloads.records(wanted) == [b"%d" % n for n in wanted]
