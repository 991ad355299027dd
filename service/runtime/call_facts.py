"""What is being worked on, for the log: a call or a run, and one record of it. Tasks and the threads of `Workers` that
are begun inside inherit it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

_facts: ContextVar[Mapping[str, str]] = ContextVar("call_facts", default={})  # noqa: B039 - it is never changed


def begin(**facts: str) -> None:
    """Sets the facts of a task that begins: request_id and method, or run_id."""
    _facts.set(facts)


@contextlib.contextmanager
def about(**facts: str) -> Iterator[None]:
    """Adds facts for the time of a block, such as record_id."""
    token = _facts.set({**_facts.get(), **facts})
    try:
        yield
    finally:
        _facts.reset(token)


def facts() -> Mapping[str, str]:
    """All that is known, by the names of the log's fields."""
    return _facts.get()


def place_in_log() -> str:
    """Where the log has more of it, in words."""
    known = _facts.get()
    for name, words in (("request_id", "request id"), ("run_id", "run id"), ("training_id", "training id")):
        if name in known:
            return f"under {words} {known[name]}"
    return "at this time"
