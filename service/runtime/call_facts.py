"""Context of the current work for the log: a call or a run, and one of its records.

Tasks and threads of `Workers` that start inside inherit it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

_facts: ContextVar[Mapping[str, str]] = ContextVar("call_facts", default={})  # noqa: B039 - never modified


def begin(**facts: str) -> None:
    """Sets the context of a new task: request_id and method, or run_id."""
    _facts.set(facts)


@contextlib.contextmanager
def about(**facts: str) -> Iterator[None]:
    """Adds fields such as record_id to the context of a block."""
    token = _facts.set({**_facts.get(), **facts})
    try:
        yield
    finally:
        _facts.reset(token)


def facts() -> Mapping[str, str]:
    """The current context, by names of log fields."""
    return _facts.get()


def place_in_log() -> str:
    """Where to find more in the log, in words."""
    known = _facts.get()
    for name, words in (("request_id", "request id"), ("run_id", "run id"), ("training_id", "training id")):
        if name in known:
            return f"under {words} {known[name]}"
    return "at this time"
