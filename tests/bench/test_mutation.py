"""`make mutation`: its targets exist, and its document matches results and reasons."""

from typing import Any

import pytest

from bench.mutation.document import render
from bench.mutation.result import RESULT, Change, merged, read_reasons, read_result, survivors_of
from bench.mutation.rooms import ROOT, read_hand_made, read_plan
from bench.mutation.unused import unused_spans


def test_every_module_and_test_of_a_room_is_there_and_no_module_is_in_two_rooms() -> None:
    plan = read_plan()
    parts = [part for room in plan.rooms for part in room.parts]
    modules = [module for part in parts for module in part.modules]
    assert len(modules) == len(set(modules))
    for module in modules:
        assert (ROOT / module).is_file(), module
    for test in {test for part in parts for test in part.tests} | {t for m in read_hand_made() for t in m.tests}:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), test
        assert not name or f"def {name}(" in (ROOT / file).read_text(), test


def test_every_hand_made_mutation_still_has_the_text_that_it_changes() -> None:
    mutations = read_hand_made()
    for mutation in mutations:
        assert mutation.applied((ROOT / mutation.file).read_text())
    assert len({m.fault for m in mutations}) == len(mutations) >= 32


def test_a_reason_without_a_survivor_is_stale_and_a_survivor_without_a_reason_is_missed() -> None:
    survivors = survivors_of(read_result()) if RESULT.exists() else []
    known = read_reasons(survivors)
    assert not known.missing
    assert not known.stale or not RESULT.exists()
    unknown = Change("index/types/quota.py", "one line", "another")
    assert read_reasons([*survivors, unknown]).missing == [unknown]
    assert set(read_reasons([]).stale) >= set(survivors)


def test_the_document_names_every_room_and_every_survivor() -> None:
    if not RESULT.exists():
        return
    text, result = render(), read_result()
    for room in result["rooms"]:
        assert f"| {room['room']} |" in text
        assert room["run"] == room["killed"] + room["timed_out"] + room["survived"]
        assert room["survived"] == len(room["survivors"])
    for survivor in survivors_of(result):
        assert survivor.file in text


def test_a_run_over_some_rooms_takes_their_place_and_the_others_say_when_they_were_run() -> None:
    def result(commit: str, rooms: dict[str, int], hand_made: list[str], sample: int = 60) -> dict[str, Any]:
        head = {"machine": {"commit": commit, "time": f"time of {commit}"}, "command": f"command of {commit}"}
        told = [{"room": name, "run": run} for name, run in rooms.items()]
        return {**head, "tool": "t", "sample": sample, "seeds": [1], "rooms": told, "hand_made": hand_made}

    first = result("a", {"x": 1, "y": 2, "z": 3}, ["by hand"])
    second = merged(first, {**result("b", {"y": 20, "new": 40}, []), "by": "b"})
    earlier = {"commit": "a", "time": "time of a", "command": "command of a"}
    assert second["rooms"] == [
        {"earlier": earlier, "room": "x", "run": 1}, {"room": "y", "run": 20},
        {"earlier": earlier, "room": "z", "run": 3},
        {"room": "new", "run": 40},
    ]  # fmt: skip
    assert second["hand_made"] == ["by hand"]
    assert second["by"] == "b"
    third = merged(second, result("c", {"z": 300}, ["anew"]))
    assert [room.get("earlier", {}).get("commit") for room in third["rooms"]] == ["a", "b", None, "b"]
    assert third["hand_made"] == ["anew"]
    with pytest.raises(ValueError, match="sample was 60"):
        merged(first, result("b", {"y": 20}, [], sample=80))


def test_stars_that_are_no_operator_and_annotations_are_left_out() -> None:
    source = "def f(a: int | None, *, b=2 * 3, **more) -> int:\n    return g(*a, [*a, b**2], a * b)\n"
    lines = source.splitlines()
    spans = sorted(unused_spans(source))
    assert [lines[begin[0] - 1][begin[1] : end[1]] for begin, end in spans] == [
        "int | None", "*", "**", "int", "*", "*",
    ]  # fmt: skip
