"""Processes that draw parts into shared memory, ahead of the training."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import queue
from collections.abc import Callable
from threading import Event, Thread

from service.encoder.builtin.train.parts import Amounts, Parts, bytes_of, draw_parts

_SLOTS = 4  # chunks that each process is ahead


class Drawing:
    """Draws until it is closed. `take` is called with each chunk, in a thread of its own; the arrays are valid only
    during the call."""

    def __init__(self, take: Callable[[Parts], None], processes: int, amounts: Amounts, seed: int) -> None:
        self._take = take
        context = multiprocessing.get_context("fork")
        size = bytes_of(amounts)
        self._done: multiprocessing.Queue[tuple[int, int]] = context.Queue()
        self._free = [context.Semaphore(_SLOTS) for _ in range(processes)]
        buffers = [memoryview(mmap.mmap(-1, size * _SLOTS)) for _ in range(processes)]
        self._slots = [[Parts.within(b[n * size : (n + 1) * size], amounts) for n in range(_SLOTS)] for b in buffers]
        self._processes = [
            context.Process(target=_draw, args=(self._slots[n], self._free[n], self._done, [seed, n]), daemon=True)
            for n in range(processes)
        ]
        self._stopped, self._ready = Event(), Event()
        self._ready.set()
        for process in self._processes:
            process.start()
        self._thread = Thread(target=self._feed, daemon=True)

    def start(self) -> None:
        """Begins to hand over chunks. Processes are forked before, while there is one thread alone."""
        self._thread.start()

    def pause(self) -> None:
        """Leaves the processors to something else; the processes stop when they are far enough ahead."""
        self._ready.clear()

    def resume(self) -> None:
        """Goes on after `pause`."""
        self._ready.set()

    def close(self) -> None:
        """Ends the processes."""
        self._stopped.set()
        self._ready.set()
        for process in self._processes:
            process.kill()
            process.join()
        if self._thread.is_alive():
            self._thread.join()

    def _feed(self) -> None:
        while not self._stopped.is_set():
            try:
                process, slot = self._done.get(timeout=0.5)
            except queue.Empty:
                continue
            self._take(self._slots[process][slot])
            self._ready.wait()
            self._free[process].release()


def _draw(slots, free, done, seed: list[int]) -> None:  # type: ignore[no-untyped-def]
    os.nice(5)
    number = 0
    while True:
        free.acquire()
        draw_parts([*seed, number], slots[number % _SLOTS])
        done.put((seed[-1], number % _SLOTS))
        number += 1
