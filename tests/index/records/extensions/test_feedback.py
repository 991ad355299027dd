"""Feedback: only sums are kept, and they add up whatever happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from index import FeedbackSums, Quota, StorageLimits, TenantDirectory
from index.storage.layout import DataDirectory
from tests.support.data.collections import SPEC, directory, record

BLOCKS = ("colour", "shape", "text")
KEEPING = replace(SPEC, feedback=True)


def some(seed: int, liked: int, disliked: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    return chance.standard_normal((liked, 3)), chance.standard_normal((disliked, 3))


def plain(calls: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, tuple[int, list[float], list[list[float]]]]:
    """The sums, number by number."""
    rows: dict[str, list[list[float]]] = {"liked": [], "disliked": [], "contrast": []}
    for liked, disliked in calls:
        rows["liked"] += liked.tolist()
        rows["disliked"] += disliked.tolist()
        if len(liked) and len(disliked):
            rows["contrast"].append(
                [sum(liked[:, b]) / len(liked) - sum(disliked[:, b]) / len(disliked) for b in range(3)]
            )
    return {
        name: (
            len(of), [sum(r[a] for r in of) for a in range(3)],
            [[sum(r[a] * r[b] for r in of) for b in range(3)] for a in range(3)],
        )
        for name, of in rows.items()
    }  # fmt: skip


def assert_sums(found: FeedbackSums | None, calls: list[tuple[np.ndarray, np.ndarray]]) -> None:
    assert found is not None
    assert found.blocks == BLOCKS
    for name, (count, totals, products) in plain(calls).items():
        part = getattr(found, name)
        assert part.count == count
        np.testing.assert_allclose(part.totals, totals, atol=1e-9)
        np.testing.assert_allclose(part.products, products, atol=1e-9)


def test_sums_of_many_calls_are_those_of_a_plain_sum_through_crashes_and_restores(tmp_path: Path) -> None:
    chance, calls = np.random.default_rng(5), list[tuple[np.ndarray, np.ndarray]]()
    tenant = directory(tmp_path)
    tenant.create(KEEPING)
    for number in range(40):
        collection = tenant.collection("things")
        given = some(number, int(chance.integers(0, 4)), int(chance.integers(0, 4)))
        assert collection.feedback.add(FeedbackSums.over(BLOCKS, *given)) is (sum(map(len, given)) > 0)
        calls.append(given)
        if number % 10 == 3:
            tenant.abandon()
            tenant = directory(tmp_path)
        if number == 20:
            snapshot, kept = collection.keep_snapshot(), len(calls)
        if number == 30:
            tenant.restore("things", snapshot.snapshot_id, "things", replacing=True)
            calls = calls[:kept]
            assert tenant.collection("things").spec.feedback
        assert_sums(tenant.collection("things").feedback.sums(), calls)
    assert list(tenant.collection("things").problems()) == []
    count = sum(len(a) + len(b) for a, b in calls)
    assert tenant.collection("things").feedback.clear() == count
    assert tenant.collection("things").feedback.sums() is None
    assert tenant.collection("things").feedback.clear() == 0


def test_nothing_is_kept_unless_the_owner_chose_it_and_what_is_kept_stays_when_it_is_turned_off(tmp_path: Path) -> None:
    tenant, sums = directory(tmp_path), FeedbackSums.over(BLOCKS, *some(1, 2, 1))
    collection = tenant.create(SPEC)
    assert not collection.feedback.add(sums)
    assert collection.feedback.sums() is None
    tenant.change("things", feedback=True)
    assert collection.feedback.add(sums)
    tenant.change("things", feedback=False)
    assert not collection.feedback.add(sums)
    tenant.close()
    again = directory(tmp_path).collection("things")
    assert (again.spec.feedback, again.feedback.kept) == (False, False)
    assert_sums(again.feedback.sums(), [some(1, 2, 1)])


def test_sums_of_another_division_into_blocks_begin_anew(tmp_path: Path) -> None:
    collection = directory(tmp_path).create(KEEPING)
    collection.feedback.add(FeedbackSums.over(("",), np.ones((3, 1)), np.ones((0, 1))))
    collection.feedback.add(FeedbackSums.over(BLOCKS, *some(1, 2, 1)))
    assert_sums(collection.feedback.sums(), [some(1, 2, 1)])


def test_the_sums_stay_with_their_tenant_and_go_with_the_collection(tmp_path: Path) -> None:
    tenant = directory(tmp_path / "one")
    collection = tenant.create(KEEPING)
    collection.upsert([record(1)])
    collection.feedback.add(FeedbackSums.over(BLOCKS, *some(1, 2, 1)))
    backup = collection.keep_snapshot()
    folder = next((tmp_path / "one").rglob(f"kept-{backup.snapshot_id}"))
    other = TenantDirectory(DataDirectory(tmp_path / "two").tenant("b" * 32), bytes(32))
    adopted = other.adopt_snapshot(folder, bytes(range(32)), "copy")
    assert (adopted.count(), adopted.feedback.sums(), adopted.spec.feedback) == (1, None, False)
    tenant.delete("things", with_kept=True)
    assert tenant.create(KEEPING).feedback.sums() is None


def test_sums_take_nothing_of_the_quota(tmp_path: Path) -> None:
    collection = directory(tmp_path, limits=StorageLimits(lambda: Quota(bytes=1))).create(KEEPING)
    assert collection.feedback.add(FeedbackSums.over(BLOCKS, *some(1, 2, 1)))
    assert collection.usage().bytes == 0
