"""What is changed, room by room, and which tests are to notice: rooms.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


@dataclass(frozen=True)
class Part:
    """Modules, and the nearest fast tests of them, the nearest first; paths below the project's root."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Room:
    """A room of the code whose faults nobody would see."""

    name: str
    parts: tuple[Part, ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """Of all parts."""
        return tuple(module for part in self.parts for module in part.modules)

    def tests_of(self, module: str) -> tuple[str, ...]:
        """The tests of the part that a module is in."""
        return next(part.tests for part in self.parts if module in part.modules)


@dataclass(frozen=True)
class Plan:
    """rooms.toml. left_out: names of operators of the tool that are not used, as one pattern. preload: packages that
    are imported once, before the processes that run the tests begin."""

    rooms: tuple[Room, ...]
    left_out: re.Pattern[str]
    preload: tuple[str, ...]


@dataclass(frozen=True)
class HandMade:
    """A mutation that once survived: in `file` the text `old`, which is there once, becomes `new`."""

    fault: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The mutated source. Raises ValueError where the text is not there exactly once."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.file} has {source.count(self.old)} times what `{self.fault}` changes, not once")
        return source.replace(self.old, self.new)


def read_plan() -> Plan:
    """rooms.toml."""
    told = tomllib.loads((FOLDER / "rooms.toml").read_text())
    rooms = tuple(
        Room(room["name"], tuple(Part(tuple(p["modules"]), tuple(p["tests"])) for p in room["parts"]))
        for room in told["rooms"]
    )
    return Plan(rooms, re.compile("|".join(told["left_out"])), tuple(told["preload"]))


def read_hand_made() -> list[HandMade]:
    """hand_made.toml."""
    told = tomllib.loads((FOLDER / "hand_made.toml").read_text())
    return [HandMade(m["fault"], m["file"], m["old"], m["new"], tuple(m["tests"])) for m in told["mutations"]]
