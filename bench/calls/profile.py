"""Where the server's processor time goes, by py-spy, which looks at the stacks of a process from outside."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

_RATE, _MOST, _LEAST = 400, 40, 0.005
_FRAME = re.compile(r"(.+) \((.+?)(?::\d+)?\)")


class Profiler:
    """Samples the stacks of a process for some seconds. Does nothing where py-spy is missing or not allowed to."""

    def __init__(self, pid: int, seconds: float, folder: Path) -> None:
        self._path, self._process = folder / "stacks.txt", None
        program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if program is None:
            return
        command = [
            program, "record", "--format", "raw", "--rate", str(_RATE), "--duration", str(max(1, int(seconds))),
            "--nonblocking", "--output", str(self._path), "--pid", str(pid),
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def result(self) -> dict[str, dict[str, float]] | None:
        """Shares of the samples by function: `within` with all that it calls, `itself` without; None without any."""
        if self._process is None or self._process.wait() or not self._path.exists():
            return None
        return shares(self._path.read_text())


def shares(stacks: str) -> dict[str, dict[str, float]]:
    """The shares of folded stacks: lines of frames `function (file:line)`, joined by `;`, and a count."""
    within, itself, total = Counter[str](), Counter[str](), 0
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        named = [_named(frame) for frame in frames.split(";")]
        total += int(count)
        itself[named[-1]] += int(count)
        for name in set(named):
            within[name] += int(count)
    return {"within": _most(within, total), "itself": _most(itself, total)}


def _named(frame: str) -> str:
    """The function with the last two parts of its file's path."""
    found = _FRAME.fullmatch(frame)
    return f"{'/'.join(Path(found[2]).parts[-2:])}:{found[1]}" if found else frame


def _most(counted: Counter[str], total: int) -> dict[str, float]:
    return {n: round(c / total, 3) for n, c in counted.most_common(_MOST) if c / total >= _LEAST}
