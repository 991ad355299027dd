"""Random operations against a dict as model, with reopening, snapshots and compaction at any point."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from index import Outcome, RecordPatch, RecordWrite, SearchQuery
from tests.support.data.collections import SPEC, directory, vector

record_ids = st.sampled_from([f"r{n}" for n in range(12)])
attribute_values = st.one_of(
    st.booleans(), st.floats(-5, 5), st.text(max_size=8), st.lists(st.text(max_size=4), max_size=3).map(tuple)
)
attributes = st.dictionaries(st.sampled_from(["a", "b", "c"]), attribute_values, max_size=3)
products = st.sampled_from(["", "p1", "p2"])


class CollectionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.tenant = directory(Path(self.folder.name))
        self.collection = self.tenant.create(SPEC)
        self.model: dict[str, tuple[int, str, dict[str, Any]]] = {}

    @rule(record_id=record_ids, seed=st.integers(0, 40), product=products, given=attributes)
    def upsert(self, record_id: str, seed: int, product: str, given: dict[str, Any]) -> None:
        known = record_id in self.model
        result = self.collection.upsert([RecordWrite(record_id, vector(seed), product, given)])[0]
        assert (result.outcome is Outcome.CREATED) != known
        self.model[record_id] = (seed, product, given)

    @rule(record_id=record_ids, product=products, given=attributes)
    def patch(self, record_id: str, product: str, given: dict[str, Any]) -> None:
        result = self.collection.patch([RecordPatch(record_id, product, given)])[0]
        assert (result.outcome is Outcome.FAILED) == (record_id not in self.model)
        if record_id in self.model:
            seed, _, old = self.model[record_id]
            self.model[record_id] = (seed, product, {**old, **given})

    @rule(wanted=st.sets(record_ids, max_size=4))
    def delete(self, wanted: set[str]) -> None:
        assert self.collection.delete(sorted(wanted)) == len(wanted & self.model.keys())
        for record_id in wanted:
            self.model.pop(record_id, None)

    @rule(product=products)
    def delete_by_filter(self, product: str) -> None:
        gone = [i for i, (_, p, _) in self.model.items() if p == product and p]
        if product:
            assert self.collection.delete_matching(f'product_id = "{product}"') == len(gone)
            for record_id in gone:
                del self.model[record_id]

    @rule()
    def snapshot(self) -> None:
        self.collection.snapshot()

    @rule()
    def compact(self) -> None:
        self.collection.compact()

    @rule(cleanly=st.booleans())
    def reopen(self, cleanly: bool) -> None:
        self.tenant.close() if cleanly else self.tenant.abandon()
        self.tenant = directory(Path(self.folder.name))
        self.collection = self.tenant.collection("things")

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        stored = {r.record_id: (r.product_id, dict(r.attributes)) for r in self.collection.list(0, 1000)}
        assert stored == {i: (p, {n: v + 0.0 if type(v) is float else v for n, v in a.items()})
                          for i, (_, p, a) in self.model.items()}  # fmt: skip
        assert self.collection.stats().records == len(self.model)
        for record_id, (seed, product, _) in list(self.model.items())[:3]:
            answer = self.collection.search(SearchQuery(vector(seed), k=50))
            found = {h.record.record_id: h.distance for g in answer.groups for h in g}
            assert found.keys() == self.model.keys()
            assert found[record_id] < 1e-3
            if product:
                assert self.collection.count(f"product_id = {product}") == sum(
                    p == product for _, p, _ in self.model.values()
                )

    def teardown(self) -> None:
        self.tenant.close()
        self.folder.cleanup()


CollectionMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, suppress_health_check=list(HealthCheck)
)
TestCollectionAgainstModel = CollectionMachine.TestCase
