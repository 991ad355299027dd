"""What a collection counts towards the quota is what it holds: also after erasures in its snapshots and restores."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from index import (
    Collection,
    Judgement,
    KeptPicture,
    PicturePolicy,
    RecordWrite,
    SourceBatch,
    SourceMark,
    TenantDirectory,
    Verdict,
)
from index.records.extensions.judged_pairs import PAIR_BYTES
from tests.support.data.collections import KEY, SPEC, directory, vector

COPIES = replace(SPEC, picture_policy=PicturePolicy.ENCRYPTED_COPY)
NAMES = [f"größe-{n}" for n in range(12)]
OTHER_KEY = bytes(reversed(KEY))


def counted(collection: Collection) -> tuple[int, int]:
    """Records and bytes, added up from what can be read."""
    records = collection.list(0, 1000, vectors=True)
    size = sum(
        len(r.record_id.encode()) + len(r.product_id.encode()) + len(_json(r.attributes).encode()) + r.vector.nbytes
        for r in records
        if r.vector is not None
    )
    names = [s.name for s in collection.saved_searches.page("", 1000)]
    saved = [v for name in names for v in collection.saved_searches.versions(name)]
    size += sum(len(v.name) + len(v.content) for v in saved)
    return len(records), size + collection.pictures.counts().bytes + PAIR_BYTES * collection.judged_pairs.count()


def _json(attributes: object) -> str:
    (color,) = attributes.values()  # type: ignore[attr-defined]
    return f'{{"color":"{color}"}}'


class Shop:
    """A collection with everything that counts, and random changes of it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance, self.folder = random.Random(seed), folder
        self.tenant = directory(folder)
        self.collection = self.tenant.create(COPIES)
        self.collection.sourced.claim(1)
        self.kept: list[str] = []
        self.copies = 0

    def insert(self) -> None:
        name, self.copies = self.chance.choice(NAMES), self.copies + 1
        kept = KeptPicture(f"object-{self.copies}", self.chance.randrange(1, 5000))
        self.collection.pictures.announce(kept.object_id)
        self.collection.upsert([
            RecordWrite(
                name, vector(self.copies), self.chance.choice(["", "p1", "schuh-ä"]),
                {"color": self.chance.choice(["rot", "grün"])}, None, str(self.copies).encode(), kept=kept,
                mark=SourceMark("feed", b"i"),
            )
        ])  # fmt: skip

    def judge(self) -> None:
        there = sorted(self.collection.get(NAMES))
        if len(there) > 1:
            one, other = self.chance.sample(there, 2)
            self.collection.judged_pairs.judge([Judgement(one, other, self.chance.choice([*Verdict, None]))])

    def save(self) -> None:
        name = self.chance.choice(["similar", "other"])
        there = [s.name for s in self.collection.saved_searches.page("", 10)]
        if name not in there:
            self.collection.saved_searches.create(name, b"x" * self.chance.randrange(1, 200))
        elif self.chance.random() < 0.7:
            self.collection.saved_searches.update(name, b"y" * self.chance.randrange(1, 200))
        else:
            self.collection.saved_searches.delete(name)

    def remove(self) -> None:
        name = self.chance.choice(NAMES)
        if self.chance.random() < 0.6:
            self.collection.erase([name])
        else:
            self.collection.delete([name])
            self.collection.clear_kept()

    def withdraw(self) -> None:
        there = sorted(self.collection.get(NAMES))
        if there:
            taken = self.chance.choice(there)
            self.collection.sourced.withdraw(SourceBatch(1, "feed", "run"), [taken])
            if self.chance.random() < 0.5:
                self.collection.sourced.reinstate("feed", [taken])

    def keep(self) -> None:
        self.kept.append(self.collection.keep_snapshot().snapshot_id)

    def change_policy(self) -> None:
        policy = self.chance.choice([PicturePolicy.ENCRYPTED_COPY, PicturePolicy.DISCARD])
        self.collection, _ = self.tenant.set_policy("things", policy)

    def restore(self) -> None:
        if self.kept:
            self.collection = self.tenant.restore("things", self.chance.choice(self.kept), "things", replacing=True)
            self.collection.sourced.claim(1)

    def step(self) -> None:
        changes = [self.insert, self.judge, self.save, self.remove, self.withdraw, self.keep, self.restore]
        self.chance.choices([*changes, self.change_policy], [40, 20, 6, 12, 6, 5, 4, 4])[0]()


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_what_is_stored_after_any_changes(tmp_path: Path, seed: int) -> None:
    shop = Shop(tmp_path, seed)
    for _ in range(100):
        shop.step()
        assert tuple(shop.collection.usage()) == counted(shop.collection)
    for number, snapshot_id in enumerate(shop.kept[-2:]):
        beside = shop.tenant.restore("things", snapshot_id, f"beside-{number}")
        assert tuple(beside.usage()) == counted(beside)


def _adopted(tmp_path: Path, tenant: TenantDirectory) -> Collection:
    tenant.close()
    folder = next(tmp_path.rglob("kept-*"))
    return directory(tmp_path / "other", OTHER_KEY).adopt_snapshot(folder, KEY, "adopted")


def test_a_snapshot_that_another_tenant_adopts_counts_no_pictures(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 1)
    for change in (shop.insert, shop.insert, shop.insert, shop.judge, shop.save, shop.keep):
        change()
    before = shop.collection.pictures.counts()
    adopted = _adopted(tmp_path, shop.tenant)
    assert before.bytes > 0
    assert adopted.pictures.counts().bytes == 0
    assert tuple(adopted.usage()) == counted(adopted)
