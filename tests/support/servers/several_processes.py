"""The tests that `make test-processes` runs: those of the shared server, which has several processes then."""

from __future__ import annotations

import os

import pytest

COUNT = os.environ.get("TEST_PROCESSES", "")


def flags() -> list[str]:
    """What the shared server is started with."""
    return ["--processes", COUNT] if COUNT else []


def select_where_chosen(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests for which it is the same how many processes the shared server has."""
    if not COUNT:
        return
    others = [item for item in items if "server" not in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]
