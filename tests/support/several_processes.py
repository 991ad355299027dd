"""The tests that `make test-processes` runs: those of the shared server, which has several processes then."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")
COUNT = os.environ.get("TEST_PROCESSES", "")
_TRIES = 2000


def flags() -> list[str]:
    """What the shared server is started with."""
    return ["--processes", COUNT] if COUNT else []


def told(ask: Callable[[], T], whole: Callable[[T], bool]) -> T:
    """An answer with what query processes tell the writer every five seconds. One process has it at once."""
    answer = ask()
    for _ in range(_TRIES if COUNT else 0):
        if whole(answer):
            break
        threading.Event().wait(0.01)
        answer = ask()
    return answer


def select_where_chosen(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests for which it is the same how many processes the shared server has."""
    if not COUNT:
        return
    others = [item for item in items if "server" not in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=others)
    left_out = set(others)
    items[:] = [item for item in items if item not in left_out]
