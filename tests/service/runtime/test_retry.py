"""The retry policy: pauses grow up to their bound, honour the error, and end."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import service
from service.errors import Code, Reason, ServiceError
from service.runtime.retry import RetryPolicy

FIXED = RetryPolicy({Code.UNAVAILABLE}, first_s=1.0, longest_s=100.0, factor=10.0, tries=4, spread=False)
AWAY = ServiceError(Reason.URL_UNREACHABLE, "away")


def test_pauses_grow_and_the_last_failure_has_none() -> None:
    assert [FIXED.pause_s(AWAY, failures) for failures in (1, 2, 3, 4, 5)] == [1.0, 10.0, 100.0, None, None]


@pytest.mark.parametrize(("asked_s", "pause_s"), [(0.5, 1.0), (30.0, 30.0), (1e9, 100.0)])
def test_a_pause_is_as_long_as_the_error_asks_within_the_bound(asked_s: float, pause_s: float) -> None:
    assert FIXED.pause_s(ServiceError(Reason.HOST_BUSY, "busy", retry_delay_s=asked_s), 1) == pause_s


@pytest.mark.parametrize("error", [ServiceError(Reason.URL_NOT_FOUND, "404"), KeyError("x"), OSError("disk")])
def test_what_does_not_pass_is_not_tried_again(error: Exception) -> None:
    assert FIXED.pause_s(error, 1) is None
    assert not FIXED.may_pass(error)


def test_a_single_reason_may_be_named() -> None:
    policy = RetryPolicy({Reason.OVERLOADED}, first_s=1.0, longest_s=1.0)
    assert policy.may_pass(ServiceError(Reason.OVERLOADED, "full"))
    assert not policy.may_pass(ServiceError(Reason.RATE_EXCEEDED, "rate"))  # of the same code


@given(st.integers(0, 10**9), st.none() | st.floats(0.0, 1e9))
def test_a_random_pause_is_within_its_bounds_after_any_number_of_failures(failures: int, asked_s: float | None) -> None:
    policy = RetryPolicy({Code.UNAVAILABLE}, first_s=2.0, longest_s=60.0)
    pause_s = policy.pause_s(ServiceError(Reason.HOST_BUSY, "busy", retry_delay_s=asked_s), failures)
    assert pause_s is not None
    assert min(asked_s or 0.0, 60.0) <= pause_s <= 60.0
    assert pause_s <= max(asked_s or 0.0, 2.0 * 2.0 ** min(failures - 1, 10))


def test_random_pauses_are_spread() -> None:
    policy = RetryPolicy({Code.UNAVAILABLE}, first_s=10.0, longest_s=60.0)
    pauses = {policy.pause_s(AWAY, 1) for _ in range(100)}
    assert len(pauses) > 50


def test_no_other_module_computes_pauses_at_random() -> None:
    root = Path(service.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        source = path.read_text()
        if "import random" in source or "from random" in source:
            names = {n.attr for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Attribute)}
            if names & {"uniform", "random", "expovariate"}:
                found.add(str(path.relative_to(root)))
    assert found - {"tracing/spans.py"} == {"runtime/retry.py"}  # which draws the calls to trace
