"""What a run gave, as bench/results/mutation.json tells it; and the reasons why survivors survive, reasons.toml."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.environment import RESULTS
from bench.mutation.rooms import FOLDER

RESULT = RESULTS / "mutation.json"
REASONS = FOLDER / "reasons.toml"


class Change(NamedTuple):
    """One line, or a few, that became others; where it is in the file may change."""

    file: str
    before: str
    after: str


class Reasons(NamedTuple):
    """of: why a survivor is no gap in the tests. missing: survivors without a reason. stale: reasons for what does not
    survive."""

    of: Mapping[Change, str]
    missing: Sequence[Change]
    stale: Sequence[Change]


def read_result() -> dict[str, Any]:
    """bench/results/mutation.json."""
    found: dict[str, Any] = json.loads(RESULT.read_text())
    return found


def merged(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """A run over some rooms, with the other rooms and the mutants by hand of an earlier result. What is earlier says
    at which commit it was run, when, and by which command.

    Raises ValueError if the two were not run alike: their shares would not be comparable.
    """
    for name in ("tool", "sample", "seeds"):
        if before[name] != now[name]:
            raise ValueError(f"{name} was {before[name]} in {RESULT.name}, and is {now[name]}")
    head = {"commit": before["machine"]["commit"], "time": before["machine"]["time"], "command": before["command"]}
    anew = {room["room"]: room for room in now["rooms"]}
    rooms = [anew.get(room["room"]) or {"earlier": head, **room} for room in before["rooms"]]
    rooms += [room for name, room in anew.items() if name not in {room["room"] for room in before["rooms"]}]
    by_hand = now["hand_made"] or before["hand_made"]
    return {**now, "rooms": rooms, "hand_made": by_hand}


def survivors_of(result: Mapping[str, Any]) -> list[Change]:
    """All survivors of a result."""
    return [Change(s["file"], s["before"], s["after"]) for room in result["rooms"] for s in room["survivors"]]


def read_reasons(survivors: Iterable[Change]) -> Reasons:
    """reasons.toml, beside what survived."""
    told = tomllib.loads(REASONS.read_text()).get("survivors", [])
    reasons = {Change(r["file"], r["before"], r["after"]): str(r["reason"]) for r in told}
    survived = dict.fromkeys(survivors)
    missing = [change for change in survived if change not in reasons]
    return Reasons(reasons, missing, [change for change in reasons if change not in survived])
