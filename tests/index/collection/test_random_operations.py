"""A collection against a dict over many seeded random operations.

They include reads, writes, filters, snapshots, restores, rebuilds, clean restarts and crashes.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import Outcome, RecordPatch, RecordWrite, SearchQuery
from tests.support.data.collections import SPEC, directory, loaded, vector

COLORS = ("red", "green", "blue")
IDS = 400


class Model:
    """Record id to (vector, product id, attributes), and a collection that must hold the same."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.tenant = directory(folder)
        self.collection = self.tenant.create(SPEC)
        self.held: dict[str, tuple[np.ndarray, str, dict[str, Any]]] = {}
        self.kept: tuple[str, dict[str, Any]] | None = None

    def step(self) -> None:
        """Makes one random operation."""
        operations: list[tuple[Callable[[], None], float]] = [
            (self.upsert, 30), (self.patch, 10), (self.delete, 6), (self.search, 30), (self.search_filtered, 16),
            (self.count, 6), (self.delete_matching, 0.2), (self.snapshot, 0.15), (self.compact, 0.15),
            (self.reopen, 0.15), (self.crash, 0.15), (self.rebuild, 0.03), (self.keep, 0.1), (self.restore, 0.05),
            (self.maintain, 0.5),
        ]  # fmt: skip
        weights = [weight for _, weight in operations]
        operation = self.chance.choices([operation for operation, _ in operations], weights)[0]
        operation()
        if operation in (self.compact, self.maintain, self.rebuild, self.reopen, self.crash, self.restore):
            self.check_sketches()

    def some_id(self) -> str:
        return f"r{self.chance.randrange(IDS)}"

    def upsert(self) -> None:
        batch = {self.some_id() for _ in range(self.chance.randrange(1, 5))}
        writes = []
        for record_id in sorted(batch):
            made = vector(self.chance.randrange(100_000))
            product = f"p{self.chance.randrange(40)}" if self.chance.random() < 0.8 else ""
            attributes: dict[str, Any] = {"color": self.chance.choice(COLORS), "n": float(self.chance.randrange(1000))}
            writes.append(RecordWrite(record_id, made, product, attributes))
            self.held[record_id] = (made / np.linalg.norm(made), product, attributes)
        assert all(r.outcome in (Outcome.CREATED, Outcome.UPDATED) for r in self.collection.upsert(writes))

    def patch(self) -> None:
        record_id, number = self.some_id(), float(self.chance.randrange(1000))
        (result,) = self.collection.patch([RecordPatch(record_id, set_attributes={"n": number})])
        assert (result.error is None) == (record_id in self.held)
        if record_id in self.held:
            made, product, attributes = self.held[record_id]
            self.held[record_id] = (made, product, {**attributes, "n": number})

    def delete(self) -> None:
        wanted = {self.some_id(), self.some_id()}
        assert self.collection.delete(sorted(wanted)) == len(wanted & self.held.keys())
        for record_id in wanted:
            self.held.pop(record_id, None)

    def delete_matching(self) -> None:
        below = float(self.chance.randrange(60))
        gone = [i for i, (_, _, a) in self.held.items() if a["n"] < below]
        assert self.collection.delete_matching(f"n < {below}") == len(gone)
        for record_id in gone:
            del self.held[record_id]

    def search(self) -> None:
        self.check("", self.held)

    def search_filtered(self) -> None:
        color, below = self.chance.choice(COLORS), float(self.chance.randrange(1000))
        allowed = {i: h for i, h in self.held.items() if h[2]["color"] == color and h[2]["n"] < below}
        self.check(f'color = "{color}" AND n < {below}', allowed)

    def check(self, filter_text: str, allowed: dict[str, Any]) -> None:
        query, k = vector(self.chance.randrange(100_000)), self.chance.randrange(1, 12)
        answer = self.collection.search(SearchQuery(query, k, filter=filter_text))
        hits = [h for g in answer.groups for h in g]
        assert answer.allowed == len(allowed)
        assert len(hits) == min(k, len(allowed))
        vectors = np.array([v for v, _, _ in allowed.values()]).reshape(-1, len(query))
        expected = np.sort(1 - vectors @ query / np.linalg.norm(query))[:k]
        assert np.allclose([h.distance for h in hits], expected, rtol=0, atol=3e-3)
        for hit in hits:
            _, product, attributes = allowed[hit.record.record_id]
            assert (hit.record.product_id, dict(hit.record.attributes)) == (product, attributes)

    def check_sketches(self) -> None:
        """Each row that is in the base, and most of those that are newer, has its own sketch, as long as it lives."""
        view = loaded(self.collection).index.view
        assert view.ann_rows <= len(view.signatures) <= (view.count if view.ann_index is not None else 0)
        if view.ann_index is not None:
            live = [s for s in view.live if s < view.last_rows]
            assert np.array_equal(view.signatures[live], view.ann_index.signature_encoder.rows(view.float16[live]))

    def count(self) -> None:
        product = f"p{self.chance.randrange(40)}"
        assert self.collection.count(f'product_id = "{product}"') == sum(p == product for _, p, _ in self.held.values())
        assert self.collection.stats().records == len(self.held)

    def snapshot(self) -> None:
        self.collection.snapshot()

    def compact(self) -> None:
        self.collection.compact()

    def maintain(self) -> None:
        self.collection.maintain()

    def rebuild(self) -> None:
        if len(self.held) > 100:
            anew = self.chance.random() < 0.5
            assert self.collection.build_ann_index(anew=anew) or not anew

    def reopen(self) -> None:
        self.tenant.close()
        self.tenant = directory(self.folder)
        self.collection = self.tenant.collection("things")
        assert self.collection.damaged_snapshots == []

    def crash(self) -> None:
        self.tenant.abandon()
        self.tenant = directory(self.folder)
        self.collection = self.tenant.collection("things")
        assert self.collection.damaged_snapshots == []

    def keep(self) -> None:
        if self.kept is not None:
            self.collection.kept.delete(self.kept[0])
        self.kept = (self.collection.keep_snapshot().snapshot_id, dict(self.held))

    def restore(self) -> None:
        if self.kept is None:
            return
        gone = self.kept[1].keys() - self.held.keys()
        self.collection = self.tenant.restore("things", self.kept[0], "things", replacing=True)
        stored = {r.record_id for r in self.collection.list(0, 10_000)}
        assert not gone & stored
        self.held = {i: h for i, h in self.kept[1].items() if i in stored}
        self.kept = (self.kept[0], dict(self.held))

    def finish(self) -> None:
        stored = self.collection.list(0, 10_000, vectors=True)
        assert {r.record_id for r in stored} == self.held.keys()
        assert all(np.allclose(np.asarray(r.vector), self.held[r.record_id][0], atol=1e-6) for r in stored)
        assert list(self.collection.problems()) == []
        self.tenant.close()


def run(folder: Path, seed: int, steps: int) -> None:
    model = Model(folder, seed)
    for number in range(steps):
        try:
            model.step()
        except BaseException as error:
            error.add_note(f"seed {seed}, step {number}")
            raise
    model.finish()


@pytest.fixture(autouse=True)
def _few_rows_do_what_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.records.group_commit._LARGE", 3)
    monkeypatch.setattr("index.vectors.ann.row_signatures._LEAST", 8)
    monkeypatch.setattr("index.vectors.ann.row_signatures._AT_ONCE", 64)


@pytest.mark.timeout(300)
def test_a_collection_holds_what_a_dict_holds_over_thousands_of_random_operations(tmp_path: Path) -> None:
    run(tmp_path, seed=20261124, steps=3000)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_same_over_two_hundred_thousand(tmp_path: Path) -> None:
    for seed in range(4):
        run(tmp_path / str(seed), seed, steps=50_000)
