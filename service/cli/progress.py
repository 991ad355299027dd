"""Progress of a command on stderr: a bar on a terminal, else a plain line every ten seconds."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from service.cli.output import console
from service.runtime.clock import Stopwatch

LINE_EVERY_S = 10.0
_COLUMNS = (
    TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
    TimeRemainingColumn(),
)  # fmt: skip


class ProgressShown(Progress):
    """A progress bar of rich, or lines. Its tasks have a field `speed`, a text such as "12/s"."""

    def __init__(self, *columns: ProgressColumn, quiet: bool = False, every_s: float = LINE_EVERY_S) -> None:
        """`columns`: of the bar; without any, the default ones. `quiet`: show nothing."""
        shown = console(stderr=True)
        lines = not quiet and not shown.is_terminal
        super().__init__(*(columns or _COLUMNS), console=shown, transient=True, disable=quiet or lines)
        self._lines = _Lines(self._as_text, every_s) if lines else None

    def __enter__(self) -> ProgressShown:
        if self._lines is not None:
            self._lines.start()
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._lines is not None:
            self._lines.stop()

    def _as_text(self) -> str:
        said = []
        for task in self.tasks:
            total = f" of {task.total:.0f}" if task.total is not None else ""
            speed = f", {task.fields['speed']}" if task.fields.get("speed") else ""
            said.append(f"{task.description}: {task.completed:.0f}{total}{speed}")
        return "; ".join(said)


@contextlib.contextmanager
def working(what: str, *, every_s: float = LINE_EVERY_S) -> Iterator[None]:
    """Shows an activity of unknown length, such as `copying`."""
    shown = console(stderr=True)
    if shown.is_terminal:
        with shown.status(what):
            yield
        return
    lines = _Lines(lambda: what, every_s)
    lines.start()
    try:
        yield
    finally:
        lines.stop()


class _Lines:
    """A thread that repeatedly writes a line with the elapsed seconds until it is stopped."""

    def __init__(self, text: Callable[[], str], every_s: float) -> None:
        self._text, self._every_s = text, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress lines", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        watch = Stopwatch()
        while not self._stopped.wait(self._every_s):
            text = self._text()
            if text:
                print(f"{text} ({watch.seconds():.0f} s)", file=sys.stderr, flush=True)
