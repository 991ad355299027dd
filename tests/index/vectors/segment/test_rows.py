from index.types.changes import RowChange
from index.types.record import StoredRecord
from index.vectors.segment.rows import Rows
from tests.support.data.collections import DIMENSION, vector


def changes(numbers: range, **attributes: str) -> list[RowChange]:
    return [RowChange(n, StoredRecord(n, str(n), "", dict(attributes), None, "f", n, 0, 0, vector(n))) for n in numbers]


def test_what_was_entered_is_not_seen_until_it_is_published() -> None:
    rows = Rows(DIMENSION)
    rows.apply(changes(range(1, 5)), 4)
    later = changes(range(5, 8))
    staged = rows.stage(later)
    assert (rows.view.count, rows.view.records, rows.view.slots_of([5])) == (4, 4, [])
    staged.publish(7)
    assert (rows.view.count, rows.view.records, rows.view.slots_of([5])) == (7, 7, [4])


def test_what_was_withdrawn_is_dead_and_the_same_rows_may_come_again() -> None:
    rows = Rows(DIMENSION)
    rows.apply(changes(range(1, 5), kind="kept"), 4)
    staged = rows.stage(changes(range(3, 8), kind="refused"))
    staged.discard()
    assert (rows.view.records, rows.view.sequence, sorted(rows.view.live)) == (4, 4, [0, 1, 2, 3])
    rows.apply(changes(range(5, 8), kind="later"), 7)
    assert rows.view.slots_of([3, 5, 7]) == [2, 9, 11]
    assert not rows.view.live & rows.view.columns.string("kind", "refused")
    rows.erase_dead(0.0)
    rows.erase_dead(0.0)
    assert not rows.view.float16[4:9].any()
    assert set(rows.view.payloads.record(4)) == {0}
    assert rows.view.float16[9:].any(axis=1).all()
