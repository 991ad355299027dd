"""What an event loop's thread does that it must not: use the processor for long, wait for the disk, or wait for a lock
under which other threads wait for the disk or use the processor for long.

Processor time is measured and not time on the wall, and calls are caught rather than timed, so that what is found lies
in the code and not in how busy the machine is. The garbage collector's time does not count as a callback's: it runs in
whichever thread makes an object, and all others wait for it. `install` comes before the service is imported.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from sqlcipher3 import dbapi2

_OURS = tuple(f"{os.sep}{room}{os.sep}" for room in ("service", "index"))
_SAMPLE_EVERY_S = 0.001
_VERY = 4
_WAITS = (
    (os, "fsync"), (os, "fdatasync"), (os, "pwrite"), (os, "pread"), (time, "sleep"), (subprocess.Popen, "wait"),
)  # fmt: skip
_STATEMENTS = ("execute", "executemany", "executescript", "commit", "close", "backup", "cursor")
_FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.truncate", "shutil.rmtree", "os.scandir", "os.listdir")


@dataclass(frozen=True)
class Fault:
    """kind: "slow" (milliseconds of processor in `cost`), "disk" or "lock". where: places of our code, the innermost
    first; of a slow callback, where it was found at work, and how often."""

    kind: str
    what: str
    where: tuple[str, ...]
    cost: float = 0.0


@dataclass
class LoopWatch:
    """Watches the thread of one event loop between `begin` and `end`. callbacks: how many there were; elsewhere: calls
    that wait for the disk, caught on other threads."""

    limit_s: float
    faults: list[Fault] = field(default_factory=list)
    callbacks: int = 0
    slowest_s: float = 0.0
    longest_collection_s: float = 0.0
    elsewhere: Counter[str] = field(default_factory=Counter)
    _thread: int = 0  # of the loop; 0 while nothing is watched
    _judging: bool = False
    _held: threading.local = field(default_factory=threading.local)
    _slow_locks: set[int] = field(default_factory=set)
    _taken: set[tuple[tuple[str, ...], int]] = field(default_factory=set)
    _samples: Counter[str] = field(default_factory=Counter)
    _running_since: float = 0.0
    _collecting_since: float = 0.0
    _collected_s: float = 0.0  # of the callback that runs

    def install(self) -> None:
        """Puts itself around locks, statements, waits, files and callbacks."""
        self._watch_locks()
        self._watch_statements()
        for owner, name in _WAITS:
            setattr(owner, name, self._caught(f"{name}()", getattr(owner, name)))
        sys.addaudithook(self._heard)
        self._watch_callbacks()
        gc.callbacks.append(self._collecting)

    def begin(self) -> None:
        """Watches the thread that calls, whose event loop runs."""
        self._thread = threading.get_ident()
        threading.Thread(target=self._sample, daemon=True).start()

    def judge_slowness(self) -> None:
        """From now on a slow callback is a fault."""
        self._judging = True

    def end(self) -> list[Fault]:
        """Stops watching; returns what was found. A slow callback counts where the same one was slow again, or was very
        slow: a busy machine takes a few milliseconds of any thread now and then."""
        self._thread = 0
        times = Counter(f.what for f in self.faults)
        self.faults = [
            f for f in self.faults if f.kind != "slow" or times[f.what] > 1 or f.cost > self.limit_s * 1000 * _VERY
        ]
        locks = [Fault("lock", "acquire()", w) for w, lock in self._taken if lock in self._slow_locks]
        return [*self.faults, *locks]

    # ---- the disk

    def _disk(self, what: str) -> None:
        if threading.get_ident() != self._thread:
            self.elsewhere[what] += 1
            self._slow_locks.update(getattr(self._held, "locks", ()))
            return
        where = _places(sys._getframe(2))
        if where and not any(f.where == where for f in self.faults):
            self.faults.append(Fault("disk", what, where))

    def _caught(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._disk(what)
            return call(*args, **kwargs)

        return watched

    def _watch_statements(self) -> None:
        connect, watched = dbapi2.connect, dict[type, type]()

        def connected(*args: Any, factory: type = dbapi2.Connection, **kwargs: Any) -> Any:
            if factory not in watched:
                methods = {n: self._caught(f"SQLite {n}", getattr(factory, n)) for n in _STATEMENTS}
                watched[factory] = type("WatchedConnection", (factory,), methods)
            return connect(*args, **kwargs, factory=watched[factory])

        dbapi2.connect = connected

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        written = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if written or event in _FILE_EVENTS:
            if isinstance(args[0], int) or str(args[0]).startswith(("/proc", "/dev")):
                return
            if threading.get_ident() == self._thread:
                self._disk(event)

    # ---- locks

    def _watch_locks(self) -> None:
        for name in ("Lock", "RLock"):
            setattr(threading, name, self._lock_of(getattr(threading, name)))

    def _lock_of(self, make: Callable[[], Any]) -> Callable[[], Any]:
        def made() -> Any:
            return _Lock(self, make()) if _is_ours(sys._getframe(1)) else make()

        return made

    def took(self, lock: _Lock, *, waits: bool = True) -> None:
        """A thread has a lock. waits: it would have waited for another one."""
        if threading.get_ident() == self._thread:
            if waits:
                self._taken.add((_places(sys._getframe(2)), id(lock)))
            return
        if not hasattr(self._held, "locks"):
            self._held.locks = {}
        self._held.locks[id(lock)] = time.thread_time()

    def gave(self, lock: _Lock) -> None:
        """A thread gives it back; not always the one that took it."""
        since = getattr(self._held, "locks", {}).pop(id(lock), None)
        if since is not None and time.thread_time() - since > self.limit_s:
            self._slow_locks.add(id(lock))

    # ---- callbacks

    def _watch_callbacks(self) -> None:
        run = asyncio.Handle._run

        def watched(handle: asyncio.Handle) -> None:
            if threading.get_ident() != self._thread:
                return run(handle)
            judging, before = self._judging, _coroutines(handle)
            started = time.thread_time()
            self._samples.clear()
            self._collected_s = 0.0
            self._running_since = time.monotonic()
            try:
                return run(handle)
            finally:
                used = time.thread_time() - started - self._collected_s
                self._running_since = 0.0
                self.callbacks += 1
                self.slowest_s = max(self.slowest_s, used) if judging else 0.0
                if judging and used > self.limit_s:
                    where = tuple(f"{count}x {place}" for place, count in self._samples.most_common(6))
                    what = f"from {before} to {_coroutines(handle)}"
                    self.faults.append(Fault("slow", what, where, used * 1000))

        asyncio.Handle._run = watched  # type: ignore[method-assign,assignment]

    def _collecting(self, phase: str, info: dict[str, int]) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting_since = time.thread_time()
        else:
            took = time.thread_time() - self._collecting_since
            self._collected_s += took
            self.longest_collection_s = max(self.longest_collection_s, took if self._judging else 0.0)

    def _sample(self) -> None:
        wait = threading.Event()
        while (watched := self._thread) and not wait.wait(_SAMPLE_EVERY_S):
            if self._running_since and time.monotonic() - self._running_since > self.limit_s / 2:
                frame = sys._current_frames().get(watched)
                if frame is not None:
                    self._samples[" < ".join(_places(frame)[:3]) or "outside"] += 1


class _Lock:
    """A lock of the service or the index that tells the watch."""

    def __init__(self, watch: LoopWatch, real: Any) -> None:
        self._watch, self._real = watch, real

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        taken: bool = self._real.acquire(blocking, timeout)
        if taken:
            self._watch.took(self, waits=blocking)
        return taken

    def release(self) -> None:
        self._watch.gave(self)
        self._real.release()

    def __enter__(self) -> bool:
        taken = bool(self._real.acquire())
        self._watch.took(self)
        return taken

    def __exit__(self, *_: object) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _coroutines(handle: asyncio.Handle) -> str:
    """Where the coroutine that a callback goes on with waits; or the callback, where it is of no task."""
    task = getattr(getattr(handle, "_callback", None), "__self__", None)
    if not isinstance(task, asyncio.Task):
        return repr(handle)
    coroutine: Any = task.get_coro()
    waits = []
    while coroutine is not None and getattr(coroutine, "cr_frame", None) is not None:
        waits.append(f"{coroutine.cr_code.co_qualname}:{coroutine.cr_frame.f_lineno}")
        coroutine = coroutine.cr_await
    return " > ".join(waits[-4:]) or "its end"


def _is_ours(frame: FrameType) -> bool:
    return any(room in frame.f_code.co_filename for room in _OURS)


def _places(frame: FrameType | None) -> tuple[str, ...]:
    """File, line and function of our code on a stack, the innermost first."""
    found = []
    for walked, line in traceback.walk_stack(frame):
        if _is_ours(walked) and "tests" not in walked.f_code.co_filename:
            path = walked.f_code.co_filename
            start = max(path.rfind(room) for room in _OURS) + 1
            found.append(f"{path[start:]}:{line} {walked.f_code.co_qualname}")
    return tuple(found[:6])
