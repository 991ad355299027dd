"""What each tenant has one of."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from index import StoreUnavailable
from service.tenancy.per_tenant import PerTenant, note_progress_of


def test_each_tenant_has_one_that_is_opened_once_by_any_number_of_threads() -> None:
    made: list[str] = []

    def make(uid: str) -> object:
        made.append(uid)
        return object()

    things = PerTenant(make)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(things.of, ["a", "b"] * 100))
    assert sorted(made) == ["a", "b"]
    assert len(set(found)) == 2
    assert things.get("a") is things.of("a")
    assert (things.get("c"), {uid for uid, _ in things.items()}) == (None, {"a", "b"})


def test_a_tenant_that_is_being_opened_holds_up_no_other() -> None:
    began, go_on = threading.Event(), threading.Event()

    def make(uid: str) -> str:
        if uid == "slow":
            began.set()
            assert go_on.wait(60)
        return uid

    things = PerTenant(make)
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(things.of, "slow") for _ in range(2)]
        assert began.wait(60)
        assert things.of("quick") == "quick"
        assert (things.get("slow"), things.items()) == (None, [("quick", "quick")])
        go_on.set()
        assert [s.result(60) for s in slow] == ["slow", "slow"]


def test_what_cannot_be_opened_is_tried_again_the_next_time() -> None:
    faults = [StoreUnavailable("the disk is full")]

    def make(uid: str) -> str:
        if faults:
            raise faults.pop()
        return uid

    things = PerTenant(make)
    with pytest.raises(StoreUnavailable):
        things.of("a")
    assert things.get("a") is None
    assert things.of("a") == "a"


def test_what_is_taken_is_the_callers_to_close_and_is_opened_anew() -> None:
    things = PerTenant(lambda uid: [uid])
    first = things.of("a")
    things.put("b", ["given"])
    assert things.take({"a", "unknown"}) == {"a": first}
    assert things.of("a") is not first
    assert things.take_all() == {"a": ["a"], "b": ["given"]}
    assert things.items() == []


def test_one_that_cannot_note_its_progress_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    class Thing:
        def __init__(self, fault: Exception | None) -> None:
            self.fault, self.noted = fault, False

        def note_progress(self) -> None:
            if self.fault is not None:
                raise self.fault
            self.noted = True

    bad, good = Thing(StoreUnavailable("no")), Thing(None)
    note_progress_of([("a", bad), ("b", good)])
    assert good.noted
    assert "could not" in caplog.text
