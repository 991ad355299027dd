"""What answers show of records is kept by key, within its bytes, and gone with its slot."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np

from index.types.record import StoredRecord
from index.vectors.segment.payloads import Payloads
from index.vectors.segment.shown_records import Key, ShownRecords


def one(record: StoredRecord) -> bytes:
    return record.record_id.encode()


def other(record: StoredRecord) -> bytes:
    return record.product_id.encode()


def test_what_is_kept_is_found_until_it_is_erased_like_in_a_dict() -> None:
    chosen, shown, expected = random.Random(3), ShownRecords(), dict[tuple[Key, object], tuple[int, bytes]]()
    for _ in range(400):
        slot, show = chosen.randrange(60), chosen.choice((one, other))
        key: Key = chosen.choice((slot, f"r{slot}"))
        if chosen.random() < 0.8:
            content = chosen.randbytes(chosen.randrange(40))
            shown.keep(show, [(key, slot, content)], shown.erasures)
            expected[key, show] = slot, content
        else:
            gone = {slot, chosen.randrange(60)}
            shown.erase(gone)
            expected = {k: v for k, v in expected.items() if v[0] not in gone}
        for asked in (one, other):
            keys: list[Key] = [*range(60), *(f"r{n}" for n in range(60))]
            assert shown.find(keys, asked) == [expected.get((key, asked)) for key in keys]
    shown.erase(range(60))
    assert shown.bytes == 0


def test_the_earliest_go_where_all_take_too_much_memory() -> None:
    shown = ShownRecords(most_bytes=10_000)
    for slot in range(100):
        shown.keep(one, [(slot, slot, bytes(100))], shown.erasures)
        assert shown.bytes <= 10_000
    kept = [slot for slot, found in enumerate(shown.find(range(100), one)) if found is not None]
    assert kept == list(range(kept[0], 100))
    assert len(kept) == 25


def test_erased_slots_leave_nothing_of_what_was_shown() -> None:
    payloads = Payloads()
    for number in range(5):
        payloads.append(b"%d" % number)
    payloads.shown.keep(one, [(n, n, b"of %d" % n) for n in range(5)], 0)
    payloads.shown.keep(other, [("r3", 3, b"of 3")], 0)
    assert payloads.bytes > 5 * 160
    payloads.erase(np.array([1, 3]))
    assert [found is not None for found in payloads.shown.find(range(5), one)] == [True, False, True, False, True]
    assert payloads.shown.find(["r3"], other) == [None]


def test_what_was_read_before_an_erasure_is_not_kept_after_it() -> None:
    """Else a search beside an erasure would keep what is erased."""
    payloads = Payloads()
    for number in range(3):
        payloads.append(b"%d" % number)
    before, content = payloads.shown.erasures, bytes(payloads.record(1))
    payloads.erase(np.array([1]))
    payloads.shown.keep(one, [(1, 1, content)], before)
    assert payloads.shown.find([1], one) == [None]
    assert payloads.shown.bytes == 0


def test_records_are_overwritten_before_what_is_kept_of_them_is_dropped() -> None:
    """Else a search that begins between the two would read the record, and keep it."""
    payloads, read = Payloads(), list[bytes]()
    payloads.append(b"secret")

    class Watched(ShownRecords):
        def erase(self, slots: Iterable[int]) -> None:
            read.append(bytes(payloads.record(0)))
            super().erase(slots)

    payloads.shown = Watched()
    payloads.erase(np.array([0]))
    assert read == [bytes(6)]
