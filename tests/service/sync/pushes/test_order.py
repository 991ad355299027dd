"""Feed runs and pushes in any order: the latest state of an item holds, against a plain model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

import pytest

from index import Collection, DigestMoved, ItemPush, Origin, RecordWrite, SourceBatch, SourceMark
from service.sync.runs.plan import Action, Difference, Step
from service.sync.runs.staging import Staged
from service.sync.source_model import SourceConfig
from tests.support.data.collections import vector

CONFIG = SourceConfig("feed", "things", "https://shop.example/feed")
EPOCHS = count(1)
State = tuple[int, int]  # version and pictures of an item


@dataclass
class Model:
    """For each item its latest state; None: it is deleted."""

    feed_ms: int = 0
    states: dict[str, tuple[int, State | None]] = field(default_factory=dict)

    def push(self, item: str, at_ms: int, state: State | None, begun_ms: int) -> bool:
        """Returns whether the push holds. `begun_ms`: time of the feed that is being applied."""
        if at_ms < max(self.feed_ms, begun_ms) or at_ms < self.states.get(item, (0, None))[0]:
            return False
        self.states[item] = (at_ms, state)
        return True

    def feed(self, at_ms: int, content: dict[str, State]) -> None:
        """A feed was applied to its end."""
        for item in {*self.states, *content}:
            if self.states.get(item, (-1, None))[0] < at_ms:
                self.states[item] = (at_ms, content.get(item))
        self.feed_ms = at_ms

    def records(self) -> dict[str, int]:
        """Versions by record id."""
        return {
            (item if n == 1 else f"{item}#{n}"): state[0]
            for item, (_, state) in self.states.items() if state is not None
            for n in range(1, state[1] + 1)
        }  # fmt: skip


def rows(item: str, state: State) -> list[Staged]:
    version, pictures = state
    ids = [item if n == 1 else f"{item}#{n}" for n in range(1, pictures + 1)]
    return [
        Staged(i, 0, b"v%d" % version, b"u%d" % n, item, str(version), "", 0, item) for n, i in enumerate(ids, 1)
    ]  # fmt: skip


def write(row: Staged, source: str) -> RecordWrite:
    mark, origin = SourceMark(source, row.item_digest), Origin(row.url_digest)
    attributes = {"version": int(row.attributes)}
    return RecordWrite(row.record_id, vector(1), row.product_id, attributes, digest=b"p", origin=origin, mark=mark)


class World:
    """One source of a collection, and the model beside it."""

    def __init__(self, collection: Collection, random: Random, name: str) -> None:
        self.sourced, self.collection, self.random, self.source = collection.sourced, collection, random, name
        self.items = [f"{name}-{n}" for n in range(4)]
        self.model, self.clock, self.begun_ms = Model(), 1, 0
        self.versions = count(1)

    def state(self) -> State:
        return next(self.versions), self.random.randint(1, 3)

    def push(self) -> None:
        """A push of an item, made now or a while ago."""
        self.clock += self.random.randint(0, 2)
        item, at_ms = self.random.choice(self.items), max(1, self.clock - self.random.choice([0, 0, 1, 4, 9]))
        state = self.state() if self.random.random() < 0.7 else None
        writes = [write(row, self.source) for row in rows(item, state)] if state else []
        came = self.sourced.push(ItemPush(self.source, item, at_ms), writes)
        assert (came.outcome == "applied") == self.model.push(item, at_ms, state, self.begun_ms)

    def run(self, *, whole: bool) -> None:
        """A run with a feed of now, with pushes in between; one that is not whole is killed halfway."""
        chance, self.clock = self.random, self.clock + 1
        feed_ms, epoch = self.clock, next(EPOCHS)
        content = {item: self.state() for item in self.items if chance.random() < 0.7}
        self.sourced.claim(epoch)
        staged = sorted(row for item, state in content.items() for row in rows(item, state))
        self.pushes(2)
        self.sourced.begin_feed(self.source, epoch, feed_ms)
        self.begun_ms = feed_ms
        pushed = self.sourced.pushed_since(self.source, feed_ms)
        if chance.random() < 0.5:  # as if all pushes came after the plan
            pushed = pushed._replace(records=frozenset(), items=frozenset())
        steps = list(Difference(CONFIG, {}, pushed=pushed).steps(staged, self.sourced.marks(self.source)))
        self.pushes(1)
        ordered = sorted(steps, key=lambda step: step.action is Action.DELETE)
        for step in ordered if whole else ordered[: len(ordered) // 2]:
            self.pushes(1)
            self.take(step, SourceBatch(epoch, self.source, f"run-{epoch}", feed_ms=feed_ms))
        if whole:
            self.pushes(1)
            self.sourced.forget_pushed(self.source, feed_ms)
            self.model.feed(feed_ms, content)

    def pushes(self, most: int) -> None:
        for _ in range(self.random.randint(0, most)):
            self.push()

    def take(self, step: Step, batch: SourceBatch) -> None:
        if step.action is Action.DELETE:
            self.sourced.withdraw(batch, [step.record_id])
        elif step.staged is not None and step.action not in (Action.UNCHANGED, Action.KEPT):
            batch = replace(batch, items={step.record_id: step.staged.item_id})
            if step.action is Action.CREATE:
                self.sourced.reinstate(self.source, [step.record_id], batch.epoch, batch)
            (came,) = self.sourced.apply(batch, [write(step.staged, self.source)])
            assert came.error is None

    def stored(self) -> dict[str, int]:
        ids = [mark.record_id for mark in self.sourced.marks(self.source)]
        return {i: record.attributes["version"] for i, record in self.collection.get(ids).items()}  # type: ignore[misc]


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 19])
def test_the_latest_state_of_each_item_holds_whatever_order_it_came_in(collection: Collection, seed: int) -> None:
    random = Random(seed)
    epoch = next(EPOCHS)
    world = World(collection, random, f"s{epoch}")
    other = rows("other", (7, 2))
    collection.sourced.claim(epoch)
    collection.sourced.apply(SourceBatch(epoch, "other", "run"), [write(row, "other") for row in other])
    for _ in range(3):
        world.pushes(2)
        if random.random() < 0.3:
            world.run(whole=False)
        world.run(whole=True)
        assert world.stored() == world.model.records()
        world.pushes(3)
        assert world.stored() == world.model.records()
    assert [m.record_id for m in collection.sourced.marks("other")] == ["other", "other#2"]


def test_a_push_takes_no_record_of_another_source(collection: Collection) -> None:
    collection.sourced.claim(epoch := next(EPOCHS))
    collection.sourced.apply(SourceBatch(epoch, "other", "run"), [write(row, "other") for row in rows("1", (1, 1))])
    writes = [write(row, "mine") for row in rows("1", (2, 1))]
    came = collection.sourced.push(ItemPush("mine", "1", 5), writes)
    assert (came.outcome, came.other) == ("foreign", "1")
    assert collection.sourced.push(ItemPush("mine", "1", 5), []).deleted == 0
    assert collection.get(["1"])["1"].attributes == {"version": 1}


def test_an_item_is_stored_whole_or_not_at_all(collection: Collection) -> None:
    good, bad = (write(row, "mine") for row in rows("1", (1, 2)))
    with pytest.raises(DigestMoved):
        collection.sourced.push(ItemPush("mine", "1", 5), [good, replace(bad, vector=None)])
    assert collection.get(["1", "1#2"]) == {}
    assert collection.sourced.pushed_since("mine", 0).records == frozenset()


def test_erasing_a_record_drops_what_is_known_of_its_push(collection: Collection) -> None:
    collection.sourced.push(ItemPush("mine", "1", 5), [write(row, "mine") for row in rows("1", (1, 1))])
    collection.delete(["1"])
    assert collection.sourced.pushed_since("mine", 0).items == frozenset()
