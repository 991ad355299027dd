"""Plans against a plain comparison of two dictionaries, and their limits."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import Failure, Mark, PushedItems
from service.sync.model import SyncPlan
from service.sync.runs.plan import IDLE, Action, Difference, Step, make_plan
from service.sync.runs.staging import FeedSummary, Staged
from service.sync.source_model import Guards, Mode, PictureCheck, SourceConfig, SourceState

CONFIG = SourceConfig("feed", "c", "https://shop.example/feed")
IDS = st.text("ab#é", min_size=1, max_size=3)
DIGESTS = st.sampled_from([b"1", b"2"])


def staged(record_id: str, item: bytes = b"1", url: bytes = b"1", deleted: int = 0) -> Staged:
    return Staged(record_id, 1, item, url, "p", "{}", "https://shop.example/1.jpg", deleted)


@given(
    st.dictionaries(IDS, st.tuples(DIGESTS, DIGESTS, st.sampled_from([0, 0, 0, 1]))),
    st.dictionaries(IDS, st.tuples(st.one_of(st.none(), DIGESTS), DIGESTS)),
    st.sampled_from(Mode),
    st.sampled_from(PictureCheck),
)
def test_a_plan_is_the_difference_of_feed_and_store(
    feed: dict[str, tuple[bytes, bytes, int]], store: dict[str, tuple[bytes | None, bytes]], mode: Mode,
    check: PictureCheck,
) -> None:  # fmt: skip
    def expected(record_id: str) -> Action | None:
        if record_id not in feed:
            return Action.DELETE if mode is Mode.REPLACE else Action.KEPT
        item, url, deleted = feed[record_id]
        if record_id not in store:
            return None if deleted else Action.CREATE
        if deleted:
            return Action.DELETE
        if store[record_id][1] != url:
            return Action.UPDATE_PICTURE
        if store[record_id][0] != item:
            return Action.UPDATE_ATTRIBUTES
        return Action.CHECK_PICTURE if check is PictureCheck.ALWAYS else Action.UNCHANGED

    def in_order(names: set[str]) -> list[str]:
        return sorted(names, key=str.encode)

    rows = [staged(i, *feed[i]) for i in in_order(set(feed))]
    marks = [Mark(i, *store[i]) for i in in_order(set(store))]
    found = {
        s.record_id: s.action
        for s in Difference(replace(CONFIG, mode=mode, picture_check=check), {}).steps(rows, marks)
    }
    wanted = {i: a for i in set(feed) | set(store) if (a := expected(i)) is not None}
    assert found == wanted


def test_a_lasting_failure_rests_for_a_day_unless_its_url_changes() -> None:
    now = 1_000_000_000_000
    failure = Failure("1", b"1", "URL_NOT_FOUND", "status 404", lasting=True, last_ms=now - 1000)

    def action(failed: Failure, row: Staged, stored: list[Mark], later_ms: int = 0) -> Action:
        (step,) = Difference(CONFIG, {"1": failed}, now + later_ms).steps([row], stored)
        return step.action

    assert action(failure, staged("1"), []) is Action.FAILED_BEFORE
    assert action(failure, staged("1"), [Mark("1", b"1", b"0")]) is Action.FAILED_BEFORE
    assert action(failure, staged("1", url=b"2"), []) is Action.CREATE
    assert action(failure, staged("1"), [], 86_400_000) is Action.CREATE
    assert action(replace(failure, lasting=False), staged("1"), []) is Action.CREATE


@pytest.mark.parametrize(
    ("item_id", "pushed", "stays"),
    [
        ("", PushedItems(items=frozenset({"1"})), True), ("", PushedItems(items=frozenset({"2", ""})), False),
        ("i", PushedItems(items=frozenset({"i"})), True), ("i", PushedItems(items=frozenset({"1"})), False),
        ("i", PushedItems(records=frozenset({"1"})), True), ("1", PushedItems(records=frozenset({"i"})), False),
    ],
)  # fmt: skip
def test_what_was_pushed_stays_by_its_record_or_by_its_item(item_id: str, pushed: PushedItems, stays: bool) -> None:
    """An item without an id of its own has that of its record."""
    row = staged("1")._replace(item_id=item_id)
    for stored, otherwise in (([], Action.CREATE), ([Mark("1", b"1", b"2")], Action.UPDATE_PICTURE)):
        (step,) = Difference(CONFIG, {}, pushed=pushed).steps([row], stored)
        assert step.action is (Action.KEPT if stays else otherwise)


def plan_of(
    new: int, same: int, gone: int, *, problems: int = 0, last: int = 0, guards: Guards | None = None
) -> SyncPlan:
    rows = sorted([staged(f"s{n:04}") for n in range(same)] + [staged(f"n{n:04}") for n in range(new)])
    marks = sorted(
        [Mark(f"s{n:04}", b"1", b"1") for n in range(same)] + [Mark(f"g{n:04}", b"1", b"1") for n in range(gone)]
    )
    config = replace(CONFIG, guards=guards or Guards())
    summary = FeedSummary(SourceState(items=new + same), problems, 0, 0, ())
    return make_plan(Difference(config, {}).steps(rows, marks), summary, config, SourceState(items=last))


@pytest.mark.parametrize(
    ("plan", "concern"),
    [
        (plan_of(10, 90, 10), ""),
        (plan_of(0, 89, 11), "11 of 100 records would be deleted"),
        (plan_of(0, 9000, 501), "501 of 9501 records would be deleted"),
        (plan_of(0, 9000, 501, guards=Guards(max_deletes=1000)), ""),
        (plan_of(0, 95, 0, problems=5), ""),
        (plan_of(0, 94, 0, problems=6), "6 of 100 items are unusable"),
        (plan_of(50, 0, 0, last=100), ""),
        (plan_of(49, 0, 0, last=100), "49 items, the last one had 100"),
    ],
)
def test_limits_stop_what_is_beyond_them(plan: SyncPlan, concern: str) -> None:
    assert [concern in c for c in plan.concerns] == ([True] if concern else [])


def test_a_plans_digest_tells_it_from_every_other() -> None:
    digests = {plan_of(*numbers).digest for numbers in [(1, 1, 0), (2, 1, 0), (1, 1, 1), (0, 1, 0), (0, 2, 0)]}
    assert len(digests) == 4  # what stays as it is does not count
    assert plan_of(5, 5, 5).digest == plan_of(5, 5, 5).digest


def test_samples_show_twenty_of_each_action() -> None:
    plan = plan_of(100, 0, 30)
    assert [sum(s.action == a for s in plan.samples) for a in ("create", "delete")] == [20, 20]


def test_a_plan_counts_each_action_and_estimates_the_pictures_alone() -> None:
    steps = [
        Step(action, f"{action}-{n}", staged("x") if action is not Action.DELETE else None)
        for number, action in enumerate(Action, 1)
        for n in range(number)
    ]
    summary = FeedSummary(SourceState(items=99, feed_digest="f"), 4, 5, 6, ())
    plan = make_plan(steps, summary, CONFIG, SourceState(pictures_per_s=4.0))
    assert (plan.create, plan.update_picture, plan.check_picture, plan.update_attributes) == (1, 2, 3, 4)
    assert (plan.delete, plan.unchanged, plan.kept, plan.failed_before) == (5, 6, 7, 8)
    assert (plan.items, plan.problems, plan.feed_digest) == (99, 4, "f")
    assert plan.estimated_s == 1.5
    assert make_plan(steps, summary, CONFIG, SourceState()).estimated_s == 0.6
    assert [s.action for s in plan.samples] == [a for s in steps if (a := s.action) not in IDLE]
    assert {s.line for s in plan.samples if s.action == Action.DELETE} == {0}
    assert {s.line for s in plan.samples if s.action == Action.CREATE} == {1}


def test_a_lasting_failure_rests_to_the_millisecond_and_only_of_the_same_picture() -> None:
    failure = Failure("1", b"1", "URL_NOT_FOUND", "status 404", lasting=True, last_ms=10**12)

    def action(later_ms: int) -> Action:
        (step,) = Difference(CONFIG, {"1": failure}, 10**12 + later_ms).steps([staged("1")], [])
        return step.action

    assert [action(ms) for ms in (0, 86_399_999, 86_400_000)] == [
        Action.FAILED_BEFORE, Action.FAILED_BEFORE, Action.CREATE,
    ]  # fmt: skip
    recent = replace(failure, last_ms=time.time_ns() // 1_000_000)
    assert [s.action for s in Difference(CONFIG, {"1": recent}).steps([staged("1")], [])] == [Action.FAILED_BEFORE]


def test_each_limit_holds_at_its_edge_and_counts_all_that_is_stored() -> None:
    def concerns(actions: dict[Action, int], *, items: int = 100, problems: int = 0, last: int = 0) -> int:
        steps = [Step(a, f"{a}{n}", None) for a, count in actions.items() for n in range(count)]
        summary = FeedSummary(SourceState(items=items), problems, 0, 0, ())
        return len(make_plan(steps, summary, CONFIG, SourceState(items=last)).concerns)

    for stored in (
        Action.UNCHANGED,
        Action.KEPT,
        Action.UPDATE_PICTURE,
        Action.UPDATE_ATTRIBUTES,
        Action.CHECK_PICTURE,
    ):
        assert concerns({Action.DELETE: 10, stored: 90}) == 0
        assert concerns({Action.DELETE: 10, stored: 89}) == 1
    for other in (Action.CREATE, Action.FAILED_BEFORE):
        assert concerns({Action.DELETE: 10, other: 90}) == 1
    assert concerns({}, items=95, problems=5) == 0
    assert concerns({}, items=94, problems=6) == 1
    assert concerns({}, items=50, last=100) == 0
    assert concerns({}, items=49, last=100) == 1
    assert concerns({Action.DELETE: 1}, items=0, problems=1, last=1) == 3


@pytest.mark.parametrize("last_ms", [1, 1000, 10**12, 3 * 10**11])
@pytest.mark.parametrize(("passed", "again"), [(0, False), (86_399_999, False), (86_400_000, True), (10**12, True)])
def test_what_failed_for_good_is_tried_again_after_a_day(last_ms: int, passed: int, again: bool) -> None:
    failure = Failure("a", b"1", "R", "m", lasting=True, last_ms=last_ms)

    def action(failure: Failure) -> Action:
        (step,) = Difference(CONFIG, {"a": failure}, last_ms + passed).steps([staged("a")], [])
        return step.action

    assert action(failure) is (Action.CREATE if again else Action.FAILED_BEFORE)
    assert action(replace(failure, lasting=False)) is Action.CREATE
    assert action(replace(failure, url_digest=b"0")) is Action.CREATE
    assert action(replace(failure, url_digest=b"2")) is Action.CREATE
