"""Describes the environment of a measurement."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CHANGES = "+changes"  # follows a commit that files differ from
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
    """Writes a result together with the environment. Returns the path.

    `measured_at`: the commit when the measurement began. Exits, and writes nothing, if it is another one by now.
    """
    if measured_at and (now := commit()) != measured_at:
        sys.exit(f"{name} was measured at {measured_at}, and the files are those of {now}: nothing is written")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": describe_machine(), **result}, indent=1) + "\n")
    return path


def clean_commit() -> str:
    """The commit that is checked out. Exits if files other than results differ from it, since nobody could repeat what
    is measured then."""
    found = commit()
    if found.endswith(CHANGES):
        sys.exit("files differ from the commit that is checked out: commit them, or measure in a clean clone")
    return found


def commit() -> str:
    """The commit that is checked out, and whether files other than results differ from it."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    status = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results"]
    changed = subprocess.run(status, capture_output=True, text=True)
    return found.stdout.strip() + (CHANGES if changed.stdout.strip() else "")


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
