"""The table of faults, put together from several runs."""

from __future__ import annotations

from bench.reliability import merged


def row(test: str, fault: str, commit: str) -> dict[str, str]:
    return {"test": test, "fault": fault, "commit": commit}


def test_a_run_replaces_all_rows_of_its_tests_and_the_others_keep_the_commit_that_they_were_measured_at() -> None:
    earlier = [row("one", "b", "old"), row("one", "c", "old"), row("two", "a", "old")]
    assert merged([row("one", "d", "new")], earlier) == [row("two", "a", "old"), row("one", "d", "new")]
    assert merged([], earlier) == [row("two", "a", "old"), row("one", "b", "old"), row("one", "c", "old")]
