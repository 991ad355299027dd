"""Progress without a terminal: occasional lines on stderr."""

from __future__ import annotations

import threading

import pytest

from service.cli import progress
from service.cli.progress import ProgressShown, working


class Noticed:
    """Waits for lines, without sleeping."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        self._came = threading.Condition()
        monkeypatch.setattr(progress, "print", self._print, raising=False)

    def _print(self, line: str, **_: object) -> None:
        with self._came:
            self.lines.append(line)
            self._came.notify_all()

    def wait_for(self, text: str) -> None:
        with self._came:
            assert self._came.wait_for(lambda: any(text in line for line in self.lines), 30), self.lines


def test_without_a_terminal_lines_say_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Noticed(monkeypatch)
    with ProgressShown(every_s=0.01) as shown:
        task = shown.add_task("Inserting", total=500, speed="")
        seen.wait_for("Inserting: 0 of 500 (")
        shown.update(task, completed=120, speed="12/s")
        seen.wait_for("Inserting: 120 of 500, 12/s (")
        shown.advance(task)
        seen.wait_for("Inserting: 121 of 500, 12/s (")
    said = len(seen.lines)
    assert not any(t.name == "progress lines" for t in threading.enumerate())
    assert len(seen.lines) == said


def test_work_of_unknown_length_says_that_it_goes_on_even_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Noticed(monkeypatch)
    with pytest.raises(OSError), working("copying", every_s=0.01):  # noqa: PT012
        seen.wait_for("copying (")
        raise OSError
    assert not any(t.name == "progress lines" for t in threading.enumerate())


def test_what_takes_less_than_ten_seconds_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressShown() as shown:
        shown.advance(shown.add_task("Inserting", total=1, speed=""))
    with working("copying"):
        pass
    with ProgressShown(quiet=True, every_s=0.0) as shown:
        shown.add_task("Inserting", total=1, speed="")
    assert capsys.readouterr() == ("", "")
