"""Counts the results of fault tests. `make reliability` collects them for docs/reliability.md."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

RESULTS_VARIABLE = "RELIABILITY_RESULTS"
PROGRESS_VARIABLE = "RELIABILITY_PROGRESS"
_EVERY_S = 10.0
T = TypeVar("T")


@dataclass(frozen=True)
class FaultResult:
    """The result of one kind of fault.

    - `fault`: what was done.
    - `tried`: how often.
    - `lost`: acknowledged changes, backups or answers that were lost or wrong.
    - `outcome`: the observed behaviour, in a few words.
    """

    fault: str
    tried: int
    lost: int
    outcome: str


def report(test: str, result: FaultResult) -> None:
    """Adds a result to the file in RELIABILITY_RESULTS, if set. `test`: its node id."""
    if path := os.environ.get(RESULTS_VARIABLE):
        with Path(path).open("a") as file:
            file.write(json.dumps({"test": test, **asdict(result)}) + "\n")


def told(work: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yields the items, and reports progress every ten seconds to the file descriptor in RELIABILITY_PROGRESS.

    `total`: their number. `what`: their name.
    """
    began = last = time.monotonic()
    for number, one in enumerate(work):
        if time.monotonic() - last > _EVERY_S:
            last = time.monotonic()
            say(f"{what}: {number:,} of {total:,} after {last - began:.0f} s")
        yield one


def say(line: str) -> None:
    """Prints to the terminal of `make reliability`, because pytest captures the output of tests."""
    if descriptor := os.environ.get(PROGRESS_VARIABLE):
        os.write(int(descriptor), f"    {line}\n".encode())
