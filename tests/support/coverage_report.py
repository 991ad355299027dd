"""Prints what `make coverage` measured, by package, and compares it with the floors of pyproject.toml.

A percentage counts lines and branches together, as `coverage report` does.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coverage import Coverage
from rich.console import Console
from rich.table import Column, Table

ROOT = Path(__file__).parents[2]
_LEAST = 12  # files with the most lines and branches that no test reaches


@dataclass(frozen=True)
class Covered:
    """Lines and branches of some files: all there are, and those that a test reached."""

    lines: int = 0
    covered_lines: int = 0
    branches: int = 0
    covered_branches: int = 0

    @property
    def missed(self) -> int:
        return self.lines - self.covered_lines + self.branches - self.covered_branches

    @property
    def percent(self) -> float:
        whole = self.lines + self.branches
        return 100 * (1 - self.missed / whole) if whole else 100.0


def by_package(files: Mapping[str, Covered]) -> dict[str, Covered]:
    """The sum of each package: `index`, and `index.storage` for what lies in or below that folder. files: by path from
    the root of the project."""
    sums: dict[str, Counter[str]] = {}
    for path, covered in files.items():
        parts = Path(path.removeprefix("proto/")).parent.parts
        for package in {".".join(parts[:1]), ".".join(parts[:2])}:
            sums.setdefault(package, Counter()).update(vars(covered))
    return {package: Covered(**sums[package]) for package in sorted(sums)}


def too_low(packages: Mapping[str, Covered], floors: Mapping[str, float]) -> list[str]:
    """A line for each package below its floor, or of which nothing was measured."""
    problems = []
    for package, floor in floors.items():
        if package not in packages:
            problems.append(f"{package}: nothing was measured")
        elif packages[package].percent < floor:
            problems.append(f"{package}: {packages[package].percent:.1f} %, its floor is {floor} %")
    return problems


def measured() -> dict[str, Covered]:
    """Every file of the last `make coverage`, by its path."""
    coverage = Coverage(config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    with tempfile.NamedTemporaryFile() as file:
        coverage.json_report(outfile=file.name)
        found = json.loads(Path(file.name).read_text())["files"]
    counts = {
        path: (s["num_statements"], s["covered_lines"], s["num_branches"], s["covered_branches"])
        for path, s in ((path, report["summary"]) for path, report in found.items())
    }
    return {str(Path(path)): Covered(*numbers) for path, numbers in counts.items()}


def main() -> int:
    """Returns the exit code."""
    files = measured()
    packages = by_package(files)
    floors = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["afterimage"]["coverage-floors"]
    table = Table("package", *(_right(n) for n in ("lines", "branches", "covered", "floor")), title="coverage")
    for name, covered in packages.items():
        floor = f"{floors[name]} %" if name in floors else ""
        table.add_row(name, str(covered.lines), str(covered.branches), f"{covered.percent:.1f} %", floor)
    console = Console(width=100)
    console.print(table)
    least = sorted(files, key=lambda path: -files[path].missed)[:_LEAST]
    for path in least:
        console.print(f"{files[path].missed:5} not reached of {path} ({files[path].percent:.0f} %)", highlight=False)
    problems = too_low(packages, floors)
    for problem in problems:
        print(f"coverage: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _right(name: str) -> Column:
    return Column(name, justify="right")


if __name__ == "__main__":
    sys.exit(main())
