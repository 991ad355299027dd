"""Describes the environment of a measurement."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"
DIRTY = Path(__file__).parents[1] / "build" / "bench"  # results that nobody can repeat
CHANGES = "+changes"  # follows a commit that files differ from
_NOT_CODE = (":!bench/results", ":!docs")
_PACKAGES = (
    "afterimage-server",
    "grpcio",
    "onnxruntime",
    "faiss-cpu",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "sqlcipher3",
)


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, kernel, versions, commit, time."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory_kib = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kib / 2**20, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "commit": commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": os.getloadavg()[0],
    }


def write_result(name: str, result: dict[str, Any], measured_at: str = "") -> Path:
    """Writes a result together with the environment and the command that makes it again. Returns the path.

    The path is outside `bench/results` where files differ from their commit, or were written while the measurement ran:
    documents show nothing that nobody can repeat. One line on standard error says so.

    `measured_at`: the commit when the measurement began. Exits, and writes nothing, if it is another one by now.
    """
    if measured_at and (now := commit()) != measured_at:
        sys.exit(f"{name} was measured at {measured_at}, and the files are those of {now}: nothing is written")
    machine = describe_machine()
    reason = _unrepeatable(machine["commit"])
    folder = DIRTY if reason else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    if reason:
        print(f"not in bench/results, and not for documents: {reason}", file=sys.stderr)
    head = {"machine": machine, "command": command(), "clean": not reason}
    path.write_text(json.dumps({**head, **{k: v for k, v in result.items() if k not in head}}, indent=1) + "\n")
    return path


def command() -> str:
    """The command that runs this process again from the root of a clone."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["-m", spec.name.removesuffix(".__main__")] if spec else sys.argv[:1]
    return shlex.join([".venv/bin/python", *program, *sys.argv[1:]])


def clean_commit() -> str:
    """The commit that is checked out. Exits if files other than results differ from it, since nobody could repeat what
    is measured then."""
    found = commit()
    if found.endswith(CHANGES):
        sys.exit("files differ from the commit that is checked out: commit them, or measure in a clean clone")
    return found


def commit() -> str:
    """The commit that is checked out, and whether files other than results differ from it; files that git does not know
    and does not ignore count too, since a program may read them."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    status = ["git", "status", "--porcelain", "--untracked-files=normal", "--", ".", ":!bench/results"]
    changed = subprocess.run(status, capture_output=True, text=True)
    return found.stdout.strip() + (CHANGES if changed.stdout.strip() else "")


def _unrepeatable(measured_at: str) -> str:
    """Why nobody can repeat what this process has measured, or nothing."""
    if measured_at in ("", CHANGES):
        return "git does not know the commit"
    if measured_at.endswith(CHANGES):
        return f"files differ from commit {measured_at.removesuffix(CHANGES)}"
    began = psutil.Process().create_time()
    listed = subprocess.run(["git", "ls-files", "-z", "--", ".", *_NOT_CODE], capture_output=True, text=True)
    paths = (Path(name) for name in listed.stdout.split("\0") if name)
    changed = next((path for path in paths if path.exists() and path.stat().st_mtime > began), None)
    return f"{changed} was written while the measurement ran" if changed else ""


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
