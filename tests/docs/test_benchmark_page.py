"""The top of docs/benchmarks.md shows what the results say."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from docs import benchmark_page
from docs.benchmark_page import BEGIN, END, fastest, is_busy, read, render, rows


def doubled(found: Any) -> Any:
    """The same result with all figures twice as high."""
    if isinstance(found, dict):
        return {name: doubled(value) for name, value in found.items()}
    if isinstance(found, list):
        return [doubled(value) for value in found]
    return found * 2 if isinstance(found, int | float) and not isinstance(found, bool) else found


def test_each_of_ten_figures_stands_beside_its_loss_and_its_result() -> None:
    found = rows(read())
    assert len({row.asked for row in found}) == 10
    for row in found:
        assert re.search(r"\d", row.figure), row
        assert re.search(r"\d", row.loss), row
        assert row.results, row


def test_every_figure_follows_the_results_that_it_names_and_no_other() -> None:
    before = read()
    for number, row in enumerate(rows(before)):
        named, others = copy.deepcopy(before), copy.deepcopy(before)
        for name in before:
            (named if name in row.results else others)[name] = doubled(before[name])
        assert rows(others)[number] == row
        assert (rows(named)[number].figure, rows(named)[number].loss) != (row.figure, row.loss)


def test_results_of_changed_files_and_of_busy_machines_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    results = read()
    results["smoke"] |= {"clean": True, "machine": results["smoke"]["machine"] | {"commit": "abcdef0", "cores": 2}}

    def shown(load: float, clean: bool) -> set[str]:
        results["smoke"]["machine"]["load_average"] = load
        results["smoke"]["clean"] = clean
        monkeypatch.setattr(benchmark_page, "read", lambda: results)
        return set(re.findall(r"abcdef0(?:\+changes)?[†‡]*", render(f"{BEGIN}{END}")))

    assert shown(3.0, True) == {"abcdef0"}
    assert shown(3.1, True) == {"abcdef0‡"}
    assert shown(3.0, False) == {"abcdef0†"}
    assert shown(3.1, False) == {"abcdef0†‡"}
    assert is_busy(results["smoke"])


def test_a_result_that_does_not_say_how_it_is_made_again_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark_page, "RESULTS", tmp_path)
    whole = {"machine": {}, "command": "", "clean": True}
    (tmp_path / "whole.json").write_text(json.dumps(whole))
    assert read() == {"whole": whole}
    for name in whole:
        (tmp_path / "part.json").write_text(json.dumps({n: v for n, v in whole.items() if n != name}))
        with pytest.raises(ValueError, match="part lacks"):
            read()


def test_the_rest_of_the_page_stays_as_it_is() -> None:
    made = render(f"before {BEGIN} old {END} after")
    assert made.startswith(f"before {BEGIN}\n\n## Ten figures")
    assert made.endswith(f"{END} after")
    assert " old " not in made
    with pytest.raises(ValueError, match="has no place"):
        render("a page without marks")


def test_the_fastest_point_of_a_good_recall_is_shown() -> None:
    points = [(9.0, 0.98), (5.0, 0.99), (7.0, 0.995), (3.0, 1.0)]
    assert fastest({"curve": [{"per_second": speed, "recall": recall} for speed, recall in points]}) == 7.0
