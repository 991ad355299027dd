"""What counts as a rise."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.guard.judging import MOST_FIXED, MOST_RISE, figures, judged, relative, table

costs = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=2, max_size=30)


@given(costs, st.floats(0.5, 2), st.floats(0.1, 10))
def test_a_kind_rises_by_as_much_as_its_cost_beside_the_fixed_work(
    found: list[tuple[float, float]], factor: float, machine: float
) -> None:
    baseline = figures({"search": found})
    now = [(server * factor * machine, fixed * machine) for server, fixed in found]  # another machine, other code
    (verdict,) = judged({"search": now}, baseline)
    assert verdict.rise == pytest.approx(factor - 1, abs=1e-6)
    assert verdict.fixed == pytest.approx(machine)
    if abs(factor - 1 - MOST_RISE) > 1e-6:
        assert verdict.rose is (factor > 1 + MOST_RISE)
    if abs(machine - MOST_FIXED) > 1e-6:
        assert verdict.sure is (machine < MOST_FIXED)


@given(costs)
def test_the_median_over_the_rounds_decides(found: list[tuple[float, float]]) -> None:
    assert relative(found) == statistics.median([server / fixed for server, fixed in found])


def test_one_bad_round_of_five_changes_nothing() -> None:
    found = [(2.0, 1.0)] * 4
    assert relative([*found, (200.0, 1.0)]) == relative(found)


def test_a_baseline_compares_equal_to_what_it_was_made_of() -> None:
    found = {"call": [(1.0, 0.3), (1.1, 0.3), (1.2, 0.31)], "picture": [(12.0, 9.0), (13.0, 9.5)]}
    assert [(v.kind, v.rose, round(v.rise, 3)) for v in judged(found, figures(found))] == [
        ("call", False, 0.0), ("picture", False, 0.0),
    ]  # fmt: skip
    with pytest.raises(KeyError):
        judged(found, {})


def test_the_table_names_what_rose_and_only_that() -> None:
    found = {"call": [(1.0, 1.0)] * 3, "search": [(1.2, 1.0)] * 3, "picture": [(1.2, 1.0)] * 3}
    before = {"relative": 1.0, "fixed_ms": 1.0}
    verdicts = judged(found, {"call": before, "search": before, "picture": before | {"fixed_ms": 0.5}})
    _, call, search, picture = table(verdicts, found)
    assert call.startswith("call ")
    assert "rose" not in call.lower()
    assert "+20.0%" in search
    assert search.endswith("ROSE")
    assert picture.endswith("too busy to tell")
