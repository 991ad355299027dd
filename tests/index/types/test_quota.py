from dataclasses import replace
from pathlib import Path

import pytest

from index import Outcome, Quota, QuotaExceeded, RecordPatch, TenantDirectory
from index.types.quota import Allowance, StorageLimits, Usage
from tests.support.data.collections import SPEC, directory, record


def limited(root: Path, quota: Quota) -> TenantDirectory:
    return directory(root, limits=StorageLimits(lambda: quota))


def test_records_beyond_the_quota_fail_one_by_one_over_all_collections_of_the_tenant(tmp_path: Path) -> None:
    tenant = limited(tmp_path, Quota(records=10))
    first, second = tenant.create(SPEC), tenant.create(replace(SPEC, name="others"))
    first.upsert([record(n) for n in range(6)])
    results = second.upsert([record(n) for n in range(6)])
    assert [r.outcome for r in results] == [Outcome.CREATED] * 4 + [Outcome.FAILED] * 2
    assert isinstance(results[-1].error, QuotaExceeded)
    assert first.upsert([record(2, color="new")])[0].outcome is Outcome.UPDATED  # a change needs no new place
    assert first.delete(["0", "1"]) == 2
    assert [r.outcome for r in second.upsert([record(7), record(8), record(9)])] == [
        Outcome.CREATED, Outcome.CREATED, Outcome.FAILED,
    ]  # fmt: skip
    assert tenant.allowance.used().records == 10


def test_bytes_are_counted_as_they_come_and_go_and_are_the_same_after_a_restart(tmp_path: Path) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    collection.upsert([record(n, "p", color="red") for n in range(5)])
    used = tenant.allowance.used()
    assert (used.records, used.bytes) == (5, 5 * (64 + 1 + 1 + len('{"color":"red"}')))
    collection.patch([RecordPatch("1", set_attributes={"color": "darkred"})])
    collection.delete(["2"])
    after = tenant.allowance.used()
    assert after.bytes == used.bytes + 4 - (64 + 1 + 1 + len('{"color":"red"}'))
    tenant.close()
    again = directory(tmp_path)
    assert again.allowance.used() == after
    again.delete("things")
    assert again.allowance.used().records == 0


def test_a_write_that_is_rolled_back_uses_nothing_up(tmp_path: Path) -> None:
    tenant = limited(tmp_path, Quota(records=3))
    collection = tenant.create(SPEC)
    results = collection.upsert([record(1), record(1, color="x"), record(2)], insert_only=True)
    assert [r.outcome for r in results] == [Outcome.CREATED, Outcome.FAILED, Outcome.CREATED]
    assert tenant.allowance.used().records == 2
    assert collection.upsert([record(3)])[0].outcome is Outcome.CREATED


def test_a_quota_of_bytes_refuses_a_change_that_makes_a_record_larger(tmp_path: Path) -> None:
    tenant = limited(tmp_path, Quota(bytes=2 * 80))
    collection = tenant.create(SPEC)
    collection.upsert([record(1), record(2)])
    result = collection.patch([RecordPatch("1", set_attributes={"note": "x" * 100})])[0]
    assert isinstance(result.error, QuotaExceeded)
    assert collection.get(["1"])["1"].attributes == {}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_beyond_a_quota_that_was_lowered_only_what_makes_a_record_larger_is_refused(tmp_path: Path, size: int) -> None:
    quota = [Quota()]
    tenant = directory(tmp_path, limits=StorageLimits(lambda: quota[0]))
    collection = tenant.create(SPEC)
    collection.upsert([record(1, note="xx")])
    quota[0] = Quota(bytes=10)
    (result,) = collection.patch([RecordPatch("1", set_attributes={"note": "y" * size})])
    assert result.outcome is (Outcome.FAILED if size > 2 else Outcome.UPDATED)


USED = Usage(5, 50)


@pytest.mark.parametrize(
    ("quota", "growth", "refused"),
    [
        (Quota(), Usage(10**9, 10**9), None),
        (Quota(records=6), Usage(1, 10**9), None),
        (Quota(records=6), Usage(2, 0), "records"),
        (Quota(records=4), Usage(0, 1), None),  # beyond a quota that was lowered, what needs no new place goes on
        (Quota(records=4), Usage(-1, -1), None),
        (Quota(records=4), Usage(1, 0), "records"),
        (Quota(bytes=60), Usage(10**9, 10), None),
        (Quota(bytes=60), Usage(0, 11), "bytes"),
        (Quota(bytes=40), Usage(1, 0), None),
        (Quota(bytes=40), Usage(1, -1), None),
        (Quota(bytes=40), Usage(0, 1), "bytes"),
        (Quota(records=1, bytes=1), Usage(1, 1), "records"),
    ],
)
def test_a_quota_has_room_up_to_its_last_record_and_byte(quota: Quota, growth: Usage, refused: str | None) -> None:
    allowance = Allowance(lambda: USED, StorageLimits(lambda: quota))
    if refused is None:
        allowance.check(growth)
        return
    with pytest.raises(QuotaExceeded, match="is used up") as caught:
        allowance.check(growth)
    assert caught.value.what == refused


def test_collections_are_refused_beyond_their_number() -> None:
    Allowance(lambda: USED).check_collections(10**9)
    allowance = Allowance(lambda: USED, StorageLimits(lambda: Quota(collections=3)))
    for after in (1, 2, 3):
        allowance.check_collections(after)
    with pytest.raises(QuotaExceeded) as caught:
        allowance.check_collections(4)
    assert caught.value.what == "collections"


def test_what_is_used_is_measured_once_and_then_counted_until_it_is_forgotten() -> None:
    measured: list[int] = []

    def measure() -> Usage:
        measured.append(1)
        return Usage(2, 20)

    allowance = Allowance(measure, StorageLimits(beside=lambda: Usage(0, 7)))
    allowance.add(Usage(1, 1))  # before it was asked for: the measurement will find it
    assert allowance.used() == Usage(2, 27)
    allowance.add(Usage(1, -3))
    assert allowance.used() == Usage(3, 24)
    assert len(measured) == 1
    allowance.forget()
    assert allowance.used() == Usage(2, 27)
    assert len(measured) == 2
    assert Usage(1, 2).plus(Usage(3, 5)) == (4, 7)
    assert Usage() == (0, 0)
    assert Quota() == Quota(0, 0, 0)


def test_no_quota_measures_nothing() -> None:
    def measure() -> Usage:
        raise AssertionError

    Allowance(measure).check(Usage(1, 1))
