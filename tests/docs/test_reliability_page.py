"""docs/reliability.md shows what the results say, and no result that nobody can repeat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docs import reliability_page


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The results of this project, in files of their own."""
    found = {name: json.loads(getattr(reliability_page, name).read_text()) for name in ("RESULT", "HOSTILE_RESULT")}
    for name in found:
        monkeypatch.setattr(reliability_page, name, tmp_path / name)
    return found


def rendered(results: dict[str, Any]) -> str:
    for name, result in results.items():
        getattr(reliability_page, name).write_text(json.dumps(result))
    return reliability_page.render()


def test_each_fault_and_each_attack_has_its_row(results: dict[str, Any]) -> None:
    text = rendered(results)
    for row in results["RESULT"]["faults"]:
        assert f"| {row['fault']} | {row['tried']:,} | {row['lost']:,} |" in text
    for attacks in results["HOSTILE_RESULT"]["attacks"].values():
        for name in attacks:
            assert text.count(f"| {name.replace('_', ' ')} |") == len(results["HOSTILE_RESULT"]["attacks"])


def test_targets_that_were_missed_are_named(results: dict[str, Any]) -> None:
    alone = {"per_second": 100.0, "p99_ms": 10.0, "most_mib": 500}
    cases = {
        "just_met": ((95.0, 30.0), 600, "none"), "few": ((94.9, 30.0), 600, "searches"),
        "late": ((95.0, 30.1), 600, "p99"),
        "large": ((95.0, 30.0), 601, "memory"), "all": ((1.0, 99.0), 900, "searches, p99, memory"),
    }  # fmt: skip
    results["HOSTILE_RESULT"]["attacks"] = {
        "apart": {
            name: {
                "alone": alone, "beside": {"per_second": speed, "p99_ms": p99, "most_mib": 700}, "after_mib": after,
                "attack_calls_per_second": 1.0,
            }
            for name, ((speed, p99), after, _) in cases.items()
        }
    }  # fmt: skip
    rows = {line.split(" | ")[0]: line for line in rendered(results).splitlines()}
    for name, (_, _, missed) in cases.items():
        assert rows[f"| {name.replace('_', ' ')}"].endswith(f"| {missed} |")


@pytest.mark.parametrize("where", ["RESULT", "HOSTILE_RESULT"])
def test_a_result_of_files_that_differed_from_their_commit_is_refused(results: dict[str, Any], where: str) -> None:
    one = results[where]["faults"][-1] if where == "RESULT" else results[where]["machine"]
    one["commit"] += "+changes"
    with pytest.raises(ValueError, match="differed from their commit"):
        rendered(results)
