"""Builds both distributions and looks at what is in them."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = {"afterimage-server": ROOT, "afterimage-client": ROOT / "proto"}
# The one package that each wheel installs.
PACKAGES = {"afterimage-server": "afterimage_server", "afterimage-client": "afterimage"}
# What must be in each wheel, and what a distribution is of no use without.
NEEDED = {
    "afterimage-server": (
        "afterimage_server/__main__.py", "afterimage_server/py.typed", "afterimage_server/index/__init__.py",
        "afterimage_server/index/vectors/filters/grammar.lark", "afterimage_server/service/web/api/openapi.json",
        "afterimage_server/service/web/console/page/index.html",
        "afterimage_server/service/web/console/vendor/preact.js",
        "afterimage_server/service/web/console/vendor/LICENSE-preact",
        "afterimage_server/service/encoder/builtin/encoder.onnx",
        "afterimage_server/service/detector/builtin/detector.json",
        "afterimage_server/service/detector/builtin/detector.onnx", "afterimage_server/afterimage/client/aio.py",
    ),
    "afterimage-client": ("afterimage/py.typed", "afterimage/client/aio.py", "afterimage/v1/search_service_pb2.py"),
}  # fmt: skip


class ReleaseError(Exception):
    """Why this cannot be released; `str()` says what to do."""


@dataclass(frozen=True)
class Distribution:
    """The files of one distribution."""

    name: str
    wheel: Path
    sdist: Path


def run(command: Sequence[object], cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints. Raises ReleaseError where it fails."""
    words = list(map(str, command))
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(words[:6])
        raise ReleaseError(f"{shown} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout


def build(folder: Path) -> list[Distribution]:
    """Builds wheel and source distribution of both, below a folder. Raises ReleaseError where one lacks a file, holds
    one too many, or where the wheel that the source distribution gives is another."""
    made = [_built(name, source, folder / name) for name, source in SOURCES.items()]
    for distribution in made:
        _check(distribution, folder)
    return made


def wheel_problems(name: str, present: Set[str]) -> list[str]:
    """What the wheel of a distribution lacks or should not hold. present: the names of its files."""
    missing = [f"lacks {path}" for path in NEEDED[name] if path not in present]
    own = f"{PACKAGES[name]}/"
    return missing + [
        f"holds {path}"
        for path in sorted(present)
        if "__pycache__" in path or not (path.startswith(own) or ".dist-info/" in path)
    ]


def _built(name: str, source: Path, target: Path) -> Distribution:
    run([sys.executable, "-m", "hatchling", "build", "-d", target], cwd=source)
    return Distribution(name, next(target.glob("*.whl")), next(target.glob("*.tar.gz")))


def _check(distribution: Distribution, folder: Path) -> None:
    present = _checksums(distribution.wheel)
    if problems := wheel_problems(distribution.name, present.keys()):
        raise ReleaseError(f"{distribution.wheel.name} {'; '.join(problems)}")
    with tarfile.open(distribution.sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    unpacked = folder / "unpacked" / distribution.sdist.name.removesuffix(".tar.gz")
    again = _built(distribution.name, unpacked, folder / "again" / distribution.name)
    if differing := {name for name, _ in present.items() ^ _checksums(again.wheel).items()}:
        raise ReleaseError(f"the wheel from {distribution.sdist.name} differs in {', '.join(sorted(differing)[:5])}")


def _checksums(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.CRC for entry in archive.infolist()}
