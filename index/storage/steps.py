"""The steps of changes that touch more than one file, for tests that cut such a change at each of them.

Every durable change of a name or a manifest calls `step` before and after it. Nothing listens in a server. A test
listens with `watched`, and takes a copy of the directory, or ends the process, at the step that it wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[str], None]] = []


def step(name: str) -> None:
    """Tells listeners that a change has come so far. `name`: what was done, or is about to be."""
    for listener in _listeners:
        listener(name)


@contextmanager
def watched(listener: Callable[[str], None]) -> Iterator[None]:
    """Calls `listener` with the name of each step until the end of the block, in the thread that takes the step."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
