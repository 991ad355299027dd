"""Letting searches have the interpreter while something long is written.

A thread that computes in Python keeps the interpreter for 5 ms once others want it, and a search wants it again after
each step that it takes outside. So a long write pauses now and then, a little longer than it takes to wake another
thread, where a search is under way; where none is, it costs nothing.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

_PAUSE_S = 0.00005


class _Searches:
    """How many searches run in this process. Enter it for one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.running = 0

    def __enter__(self) -> None:
        with self._lock:
            self.running += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self.running -= 1


searches = _Searches()


def pause() -> None:
    """Lets a search that is under way go on. To be called every few tenths of a millisecond."""
    if searches.running:
        time.sleep(_PAUSE_S)
