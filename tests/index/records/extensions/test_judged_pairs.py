"""Verdicts on pairs live as long as both records, whatever happens to these."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from index import (
    Collection,
    InvalidInput,
    Judgement,
    Outcome,
    Quota,
    QuotaExceeded,
    RecordNotFound,
    RecordWrite,
    SourceBatch,
    SourceMark,
    StorageLimits,
    TenantDirectory,
    Verdict,
)
from index.records.extensions import judged_pairs
from index.storage.layout import DataDirectory
from tests.support.data.collections import KEY, SPEC, directory, vector

DIFFERENT, SAME = Verdict.DIFFERENT, Verdict.SAME_PRODUCT
Model = dict[frozenset[str], Verdict]


def fill(collection: Collection, *names: str) -> None:
    writes = [RecordWrite(n, vector(hash(n) % 1000), mark=SourceMark("feed", b"i")) for n in names]
    assert all(r.outcome is not Outcome.FAILED for r in collection.upsert(writes))


def judge(collection: Collection, one: str, other: str, verdict: Verdict | None) -> None:
    (result,) = collection.judged_pairs.judge([Judgement(one, other, verdict)])
    assert result.error is None


def held(collection: Collection) -> Model:
    return {frozenset((p.record_id, p.other_record_id)): p.verdict for p in collection.judged_pairs.every()}


def shown(model: Mapping[frozenset[str], Verdict], there: set[str]) -> Model:
    return {pair: verdict for pair, verdict in model.items() if pair <= there}


@pytest.mark.parametrize("seed", range(4))
def test_after_anything_the_pairs_are_those_of_a_plain_dict(tmp_path: Path, seed: int) -> None:
    chance, tenant = random.Random(seed), directory(tmp_path)
    collection = tenant.create(SPEC)
    names = [f"record-{n}" for n in range(12)]
    fill(collection, *names)
    collection.sourced.claim(1)
    there, withdrawn, model = set(names), set[str](), Model()
    kept: tuple[str, set[str], Model] | None = None
    for number in range(120):
        kind = chance.random()
        if kind < 0.55 and len(there) > 1:
            one, other = chance.sample(sorted(there), 2)
            verdict = chance.choice([DIFFERENT, SAME, DIFFERENT, SAME, None])
            judge(collection, one, other, verdict)
            model.pop(frozenset((one, other)), None)
            if verdict is not None:
                model[frozenset((one, other))] = verdict
        elif kind < 0.65:
            gone = chance.choice(names)
            collection.delete([gone]) if chance.random() < 0.5 else collection.erase([gone])
            there, withdrawn = there - {gone}, withdrawn - {gone}
            model = {pair: v for pair, v in model.items() if gone not in pair}
            if kept is not None:
                kept = kept[0], kept[1] - {gone}, {pair: v for pair, v in kept[2].items() if gone not in pair}
        elif kind < 0.75:
            new = chance.choice(names)
            if new in withdrawn:
                continue
            fill(collection, new)  # where it was there, it stays, and so do its pairs
            there.add(new)
        elif kind < 0.82 and there:
            taken = chance.choice(sorted(there))
            assert collection.sourced.withdraw(SourceBatch(1, "feed", "run"), [taken]) == 1
            there, withdrawn = there - {taken}, withdrawn | {taken}
        elif kind < 0.9 and withdrawn:
            back = chance.choice(sorted(withdrawn))
            assert collection.sourced.reinstate("feed", [back]) == [back]
            there, withdrawn = there | {back}, withdrawn - {back}
        elif kind < 0.94:
            tenant.abandon() if chance.random() < 0.5 else tenant.close()
            tenant = directory(tmp_path)
            collection = tenant.collection("things")
        elif kind < 0.97 and not withdrawn:
            kept = collection.keep_snapshot().snapshot_id, set(there), dict(model)
        elif kept is not None and number % 2:
            collection = tenant.restore("things", kept[0], "things", replacing=True)
            there, withdrawn, model = set(kept[1]), set(), dict(kept[2])
            collection.sourced.claim(1)
        assert held(collection) == shown(model, there)
    one = sorted(there)[0]
    of_one = {frozenset((p.record_id, p.other_record_id)) for p in collection.judged_pairs.page(record_id=one)}
    assert of_one == {pair for pair in shown(model, there) if one in pair}
    same = {frozenset((p.record_id, p.other_record_id)) for p in collection.judged_pairs.every(SAME)}
    assert same == {pair for pair, verdict in shown(model, there).items() if verdict is SAME}
    assert list(collection.problems()) == []


def test_results_say_what_was_said_before_and_what_is_wrong(tmp_path: Path) -> None:
    collection = directory(tmp_path).create(SPEC)
    fill(collection, "a", "b", "c")
    asked = [("a", "b", SAME), ("b", "a", DIFFERENT), ("a", "a", SAME), ("a", "gone", SAME), ("b", "a", DIFFERENT),
             ("a", "c", None), ("a", "b", None)]  # fmt: skip
    results = collection.judged_pairs.judge([Judgement(*one) for one in asked])
    assert [(r.previous, r.changed) for r in results] == [
        (None, True), (SAME, True), (None, False), (None, False), (DIFFERENT, False), (None, False), (DIFFERENT, True),
    ]  # fmt: skip
    errors = [type(r.error) for r in results if r.error]
    assert errors == [InvalidInput, RecordNotFound]
    assert held(collection) == {}
    judge(collection, "c", "a", SAME)
    (pair,) = collection.judged_pairs.page()
    assert (pair.record_id, pair.other_record_id) == ("a", "c")  # in order of insertion


def test_pairs_count_towards_the_quota_and_one_too_many_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = directory(tmp_path)
    collection = tenant.create(SPEC)
    fill(collection, "a", "b", "c")
    empty = collection.usage().bytes
    room = Quota(bytes=empty + judged_pairs.PAIR_BYTES)
    monkeypatch.setattr(tenant.allowance, "_limits", StorageLimits(lambda: room))
    results = collection.judged_pairs.judge([Judgement("a", "b", SAME), Judgement("a", "c", SAME)])
    assert (results[0].error, type(results[1].error)) == (None, QuotaExceeded)
    assert collection.usage().bytes == empty + judged_pairs.PAIR_BYTES
    collection.delete(["a"])
    collection.delete(["b", "c"])
    assert collection.usage().bytes == 0
    monkeypatch.setattr(tenant.allowance, "_limits", StorageLimits(Quota))
    monkeypatch.setattr(judged_pairs, "MAX_JUDGED_PAIRS", 1)
    fill(collection, "d", "e", "f")
    results = collection.judged_pairs.judge([Judgement("d", "e", SAME), Judgement("d", "f", SAME)])
    assert (results[0].error, str(results[1].error)) == (None, "a collection has at most 1 judged pairs")


def test_another_tenants_copy_has_the_pairs_and_pages_fit_together(tmp_path: Path) -> None:
    tenant = directory(tmp_path / "one")
    collection = tenant.create(SPEC)
    names = [f"n{n}" for n in range(30)]
    fill(collection, *names)
    judgements = [Judgement("n0", name, SAME if n % 2 else DIFFERENT) for n, name in enumerate(names) if n]
    collection.judged_pairs.judge(judgements)
    backup = collection.keep_snapshot()
    folder = next((tmp_path / "one").rglob(f"kept-{backup.snapshot_id}"))
    other = TenantDirectory(DataDirectory(tmp_path / "two").tenant("b" * 32), bytes(32))
    adopted = other.adopt_snapshot(folder, KEY, "copy")
    assert held(adopted) == held(collection)
    pages, after = [], 0
    while page := adopted.judged_pairs.page(after, 7):
        pages += page
        after = page[-1].pair_id
    assert [p.other_record_id for p in pages] == names[1:]


def test_pairs_come_with_the_vectors_of_their_records(tmp_path: Path) -> None:
    collection = directory(tmp_path).create(SPEC)
    fill(collection, "a", "b", "c")
    judge(collection, "a", "c", SAME)
    ((pair, one, other),) = collection.judged_pairs.with_vectors()
    stored = collection.get(["a", "c"], vectors=True)
    assert pair.verdict is SAME
    for found, name in ((one, "a"), (other, "c")):
        assert np.array_equal(found, stored[name].vector)  # type: ignore[arg-type]


def test_groups_follow_the_verdicts_until_they_are_withdrawn(tmp_path: Path) -> None:
    collection = directory(tmp_path).create(SPEC)
    near = [vector(1) + 0.01 * vector(n) for n in (2, 3, 4)]
    collection.upsert([RecordWrite(i, v) for i, v in zip("abc", near, strict=True)])
    collection.upsert([RecordWrite("far", vector(9))])

    def groups(**how: bool) -> list[tuple[str, ...]]:
        return [g.record_ids for g in collection.duplicates("", 0.05, **how)]

    assert groups() == [("a", "b", "c")]
    judge(collection, "c", "b", DIFFERENT)
    assert groups() == [("a", "b"), ("a", "c")]
    judge(collection, "a", "far", SAME)
    assert groups() == [("a", "b", "far"), ("a", "c", "far")]
    assert groups(judged=False) == [("a", "b", "c")]
    judge(collection, "b", "far", SAME)
    assert groups() == [("a", "b", "far")]  # c is different from b, and so from all that is the same product
    judge(collection, "c", "far", SAME)
    (group,) = collection.duplicates("", 0.05)
    assert (group.record_ids, group.merged, group.contradictions) == (("a", "b", "c", "far"), 3, (("b", "c"),))
    for pair in list(collection.judged_pairs.every()):
        judge(collection, pair.record_id, pair.other_record_id, None)
    assert groups() == [("a", "b", "c")]
