"""Letting searches have the interpreter while something long is written.

A thread that computes in Python keeps the interpreter for 5 ms once others want it, and a search wants it again after
each step that it takes outside. So a long write pauses now and then until a search that is under way has ended, if any
is: on a busy machine, a pause of a fixed time would often be over before the search's thread had even been woken.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
_LONGEST_S = 0.002  # a search that takes longer is one that is not waiting for the interpreter
_FEWER = 8  # times fewer at once, while a search is under way
_FREED_AT_ONCE = 64


class _Searches:
    """How many searches run in this process. Enter it for one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[threading.Lock] = []
        self.running = 0

    def __enter__(self) -> None:
        with self._lock:
            self.running += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self.running -= 1
            waiting, self._waiting = self._waiting, []
        for turn in waiting:
            turn.release()

    def wait_for_one(self) -> None:
        """Returns once one of those that run has ended, none runs, or _LONGEST_S have passed."""
        turn = threading.Lock()
        with self._lock:
            if not self.running:
                return
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire(timeout=_LONGEST_S)


searches = _Searches()


def batches_yielding(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """The items, up to `most` at once, with a pause before each time; fewer at once while a search is under way."""
    start = 0
    while start < len(items):
        yield_to_searches()
        end = start + (max(1, most // _FEWER) if searches.running else most)
        yield items[start:end]
        start = end


def free_gradually(items: list[T]) -> None:
    """Empties a list in turns: to free what was made of a thousand records takes half a millisecond at once."""
    while items:
        yield_to_searches()
        del items[-_FREED_AT_ONCE:]


def yield_to_searches() -> None:
    """Lets a search that is under way go on. To be called every few tenths of a millisecond."""
    if searches.running:
        searches.wait_for_one()
