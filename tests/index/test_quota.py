from dataclasses import replace
from pathlib import Path

from index import Outcome, Quota, QuotaExceeded, RecordPatch, TenantDirectory
from tests.support.collections import SPEC, directory, record


def limited(root: Path, quota: Quota) -> TenantDirectory:
    tenant = directory(root)
    tenant.allowance.quota = lambda: quota
    return tenant


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
