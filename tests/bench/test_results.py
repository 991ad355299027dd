"""Each file of bench/results says how it is made again, and documents name the files that their figures are from."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.environment import CHANGES, RESULTS

ROOT = Path(__file__).parents[2]
PATHS = sorted(RESULTS.glob("*.json"))
# Of before changed files were written elsewhere. Each leaves when it is measured again; none comes.
DIFFERED = {"index", "index-512", "index-life", "own-model", "workers"}
SECTIONS = re.split(r"^## ", (ROOT / "docs" / "benchmarks.md").read_text(), flags=re.MULTILINE)[1:]
MAKEFILE = (ROOT / "Makefile").read_text()


def commits(found: Any) -> Iterator[str]:
    """All commits that a result names, also those of its parts."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from [value] if name == "commit" else commits(value)
    elif isinstance(found, list):
        for value in found:
            yield from commits(value)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_result_names_commit_cleanness_command_and_machine(path: Path) -> None:
    result = json.loads(path.read_text())
    named = set(commits(result))
    assert {"cpu", "cores", "memory_gib", "kernel", "python", "packages", "time", "load_average"} < set(
        result["machine"]
    )
    assert result["machine"]["commit"] in named
    assert all(re.fullmatch(r"[0-9a-f]{7,40}(\+changes)?", commit) for commit in named), named
    assert result["clean"] is not any(commit.endswith(CHANGES) for commit in named)
    assert result["clean"] or path.stem in DIFFERED, "measure it at a clean commit; see docs/benchmarks.md"


def test_results_of_changed_files_only_become_fewer() -> None:
    assert {path.stem for path in PATHS if not json.loads(path.read_text())["clean"]} == DIFFERED


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_command_of_a_result_is_there_and_a_target_runs_it(path: Path) -> None:
    python, option, module, *_ = shlex.split(json.loads(path.read_text())["command"])
    assert (python, option) == (".venv/bin/python", "-m")
    assert importlib.util.find_spec(module) is not None
    assert re.search(rf"-m {re.escape(module)}(?![\w.])", MAKEFILE), module


@pytest.mark.parametrize(
    "section", [s for s in SECTIONS if s.startswith("`make bench-")], ids=lambda s: s.split("`")[1]
)
def test_a_section_with_figures_names_the_result_that_they_are_from(section: str) -> None:
    assert f"\n{section.split('`')[1].removeprefix('make ')}:" in MAKEFILE
    if re.search(r"^\|.*\d.*\|$", section, re.MULTILINE):
        assert re.search(r"`bench/results/[\w-]+\.json`", section)


def test_results_that_documents_name_exist() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for name in re.findall(r"bench/results/([\w-]+)\.json", document.read_text()):
            assert (RESULTS / f"{name}.json").exists(), (document.name, name)
