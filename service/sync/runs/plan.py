"""Computes a plan from the difference between a feed and the stored records."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from index import Failure, Mark, PushedItems
from service.runtime.clock import now_ms
from service.sync.model import Sample, SyncPlan
from service.sync.runs.staging import FeedSummary, Staged
from service.sync.source_model import Guards, Mode, PictureCheck, SourceConfig, SourceState

_SAMPLES = 20
_RETRY_LASTING_FAILURES_MS = 86_400_000
_PICTURES_PER_S = 10.0  # assumed until a run has measured it


class Action(StrEnum):
    """What to do about a record."""

    CREATE = "create"
    UPDATE_PICTURE = "update_picture"
    CHECK_PICTURE = "check_picture"
    UPDATE_ATTRIBUTES = "update_attributes"
    DELETE = "delete"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    FAILED_BEFORE = "failed_before"


IDLE = frozenset({Action.UNCHANGED, Action.KEPT, Action.FAILED_BEFORE})


class Step(NamedTuple):
    """One record and its action. `staged` is None if the feed does not contain the record."""

    action: Action
    record_id: str
    staged: Staged | None


class Difference:
    """Merges feed and store, both ordered by record id."""

    def __init__(
        self, config: SourceConfig, failures: Mapping[str, Failure], at_ms: int | None = None,
        pushed: PushedItems = PushedItems(),
    ) -> None:  # fmt: skip
        """`pushed`: what was pushed since the feed was current; it stays as it is."""
        self._replace = config.mode is Mode.REPLACE
        self._always = config.picture_check is PictureCheck.ALWAYS
        self._failures = failures
        self._now_ms = now_ms() if at_ms is None else at_ms
        self._pushed = pushed

    def steps(self, staged: Iterable[Staged], marks: Iterable[Mark]) -> Iterator[Step]:
        """Yields one step for each record of either side."""
        stored = iter(marks)
        mark = next(stored, None)
        for row in staged:
            while mark is not None and mark.record_id < row.record_id:
                yield self._missing(mark)
                mark = next(stored, None)
            if mark is not None and mark.record_id == row.record_id:
                yield Step(self._changed(row, mark), row.record_id, row)
                mark = next(stored, None)
            elif self._is_pushed(row):
                yield Step(Action.KEPT, row.record_id, row)
            elif not row.deleted:
                yield Step(self._new(row), row.record_id, row)
        while mark is not None:
            yield self._missing(mark)
            mark = next(stored, None)

    def _missing(self, mark: Mark) -> Step:
        deletes = self._replace and mark.record_id not in self._pushed.records
        return Step(Action.DELETE if deletes else Action.KEPT, mark.record_id, None)

    def _is_pushed(self, row: Staged) -> bool:
        return row.record_id in self._pushed.records or (row.item_id or row.record_id) in self._pushed.items

    def _new(self, row: Staged) -> Action:
        return Action.FAILED_BEFORE if self._failed_recently(row) else Action.CREATE

    def _changed(self, row: Staged, mark: Mark) -> Action:
        if self._is_pushed(row):
            return Action.KEPT
        if row.deleted:
            return Action.DELETE
        if row.url_digest != mark.url_digest:
            return Action.FAILED_BEFORE if self._failed_recently(row) else Action.UPDATE_PICTURE
        if row.item_digest != mark.item_digest:
            return Action.UPDATE_ATTRIBUTES
        return Action.CHECK_PICTURE if self._always else Action.UNCHANGED

    def _failed_recently(self, row: Staged) -> bool:
        """Whether the same picture failed permanently within the last day."""
        failure = self._failures.get(row.record_id)
        if failure is None or not failure.lasting or failure.url_digest != row.url_digest:
            return False
        return self._now_ms - failure.last_ms < _RETRY_LASTING_FAILURES_MS


def make_plan(steps: Iterable[Step], summary: FeedSummary, config: SourceConfig, state: SourceState) -> SyncPlan:
    """Computes counts, samples, digest and concerns of a plan."""
    counts: Counter[Action] = Counter()
    samples: list[Sample] = []
    digest = hashlib.sha256(summary.after.feed_digest.encode())
    for step in steps:
        action = step.action
        counts[action] += 1
        if action in IDLE:
            continue
        row = step.staged
        digest.update(f"{action}\0{step.record_id}\0".encode())
        if row is not None:
            digest.update(row.item_digest + row.url_digest)
        if counts[action] <= _SAMPLES:
            samples.append(Sample(action, step.record_id, row.line if row else 0))
    plan = SyncPlan(
        digest.hexdigest(), summary.after.feed_digest, summary.after.items, summary.problems, summary.duplicates,
        counts[Action.CREATE], counts[Action.UPDATE_PICTURE], counts[Action.UPDATE_ATTRIBUTES],
        counts[Action.CHECK_PICTURE],
        counts[Action.UNCHANGED], counts[Action.DELETE], counts[Action.KEPT], counts[Action.FAILED_BEFORE],
        samples=tuple(samples), problem_lines=summary.problem_lines,
    )  # fmt: skip
    speed = state.pictures_per_s or _PICTURES_PER_S
    concerns = tuple(_concerns(plan, config.guards, state))
    return replace(plan, estimated_s=round(plan.pictures / speed, 1), concerns=concerns)


def _concerns(plan: SyncPlan, guards: Guards, state: SourceState) -> Iterator[str]:
    stored = plan.unchanged + plan.delete + plan.kept + plan.update_picture + plan.update_attributes
    stored += plan.check_picture
    if plan.delete > min(guards.max_deletes, guards.max_delete_share * stored):
        yield (
            f"{plan.delete} of {stored} records would be deleted; the limits are {guards.max_deletes} and "
            f"{guards.max_delete_share:.0%}"
        )
    rows = plan.items + plan.problems
    if plan.problems > guards.max_problem_share * rows:
        yield f"{plan.problems} of {rows} items are unusable; the limit is {guards.max_problem_share:.0%}"
    if plan.items < guards.min_items_share * state.items:
        limit = f"the limit is {guards.min_items_share:.0%}"
        yield f"the feed has {plan.items} items, the last one had {state.items}; {limit}"
