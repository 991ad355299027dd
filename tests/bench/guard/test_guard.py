"""`make bench-guard` against real servers."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from bench.guard.judging import figures, judged, table
from bench.guard.measuring import Measured, Size, add_start, filled
from bench.guard.workload import drawn, kinds

SIZE, KINDS = Size(rounds=8, calls=100), ("call", "search")
SLOWED = """
import sys
if "serve" in sys.orig_argv:
    import os, time
    from index.collection.reading import Reading
    real, spin = Reading.search, int(os.environ["SPIN_NS"])
    def search(self, query):
        ends = time.thread_time_ns() + spin
        while time.thread_time_ns() < ends:
            pass
        return real(self, query)
    Reading.search = search
"""


def test_requests_of_a_round_are_as_many_as_wanted_and_inserts_are_always_new() -> None:
    made = kinds(drawn(), 120)
    assert {name: len(kind.requests(1)) for name, kind in made.items()} == {
        "call": 120, "search": 120, "search, 8 callers": 120, "search by picture": 10, "picture inserted": 10,
    }  # fmt: skip
    inserted = made["picture inserted"].requests
    assert not set(inserted(1)) & set(inserted(2))
    assert len(set(drawn())) == len(drawn())


@pytest.mark.long
def test_a_server_that_works_fifteen_per_cent_longer_on_a_search_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOWED)
    before, same, slow = Measured(), Measured(), Measured()
    with filled() as data:
        add_start(data, SIZE, before, KINDS)
        spin = 0.15 * 1e6 * statistics.median(server for server, _ in before.costs["search"])
        slowed = {"PYTHONPATH": str(tmp_path), "SPIN_NS": str(round(spin))}
        add_start(data, SIZE, slow, KINDS, slowed)
        add_start(data, SIZE, same, KINDS)
        add_start(data, SIZE, before, KINDS)
        add_start(data, SIZE, slow, KINDS, slowed)
    baseline = figures(before.costs)
    for found in (before, same, slow):
        print("\n".join(table(judged(found.costs, baseline), found.costs)))
    assert not any(v.rose for v in judged(same.costs, baseline))
    assert [v.kind for v in judged(slow.costs, baseline) if v.rose] == ["search"]
