"""`make bench-calls`: its calls, its canned servicer and its profile."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from afterimage.v1 import search_service_pb2 as search_pb
from bench.calls import document
from bench.calls.__main__ import BATCH, DIMENSION, K, calls, canned, clustered
from bench.calls.load import Called, measured, one_answer, scheduled_ns
from bench.calls.profile import shares


def test_vectors_are_of_length_one_and_lie_around_the_same_centres() -> None:
    rows, queries = clustered(400, seed=1), clustered(20, seed=2)
    assert (rows.shape, rows.dtype) == ((400, DIMENSION), np.dtype("<f4"))
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    nearest = (queries @ rows.T).max(1)
    assert np.median(nearest) > 0.5 > np.median(queries @ rows.T)


def test_each_call_is_made_with_several_requests() -> None:
    made = calls()
    assert {len(set(called.requests)) > 1 for called in made.values()} == {True}
    batch = search_pb.BatchSearchRequest.FromString(made["batch of 32"].requests[0])
    assert (len(batch.searches), {s.k for s in batch.searches}) == (BATCH, {K})


async def test_the_canned_servicer_gives_each_method_its_bytes_and_its_time_is_counted(tmp_path: Path) -> None:
    with canned({"/a/B": b"one", "/a/C": b"other"}, tmp_path) as target:
        assert await one_answer(target, Called("/a/B", [b"x"])) == b"one"
        assert await one_answer(target, Called("/a/C", [b"x"])) == b"other"
        cost = await measured(target, Called("/a/B", [b"x", b"y"]), 2, 0.05)
    assert cost.cpu_ms > 0
    assert cost.per_s > 0


def test_the_time_of_a_process_grows_while_it_works() -> None:
    before = scheduled_ns(os.getpid())
    sum(range(200_000))
    assert scheduled_ns(os.getpid()) > before


def test_a_profile_counts_a_function_once_in_each_stack() -> None:
    found = shares("main (a/b/c.py:1);f (x/y.py:3);f (x/y.py:4) 3\nmain (a/b/c.py:2);g (z.py:1) 1\n")
    assert found["within"] == {"b/c.py:main": 1.0, "x/y.py:f": 0.75, "z.py:g": 0.25}
    assert found["itself"] == {"x/y.py:f": 0.75, "z.py:g": 0.25}


@pytest.mark.parametrize("stacks", ["native_call 2\n", "native_call;f (x/y.py:1) 2\n"])
def test_frames_without_a_file_are_named_as_they_are(stacks: str) -> None:
    assert "native_call" in shares(stacks)["within"]


def test_the_page_shows_each_call_of_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cost = {"cpu_ms": {"canned": 0.5, "server": 1.25}, "per_s": {"canned": 2000, "server": 1100}}
    by_callers = {f"{n} callers": {**cost, "cpu_ratio": 2.5, "rate_ratio": 0.55} for n in (1, 8)}
    machine = {"cores": 2, "cpu": "A CPU", "commit": "abc"}
    path = tmp_path / "calls.json"
    path.write_text(json.dumps({"machine": machine, "calls": {"search": by_callers, "batch of 32": by_callers}}))
    monkeypatch.setattr(document, "RESULT", path)
    page = Path("docs/benchmarks.md").read_text()
    rendered = document.render(page)
    assert document.render(rendered) == rendered
    assert rendered.count("| 0.50 | 1.25 | 2.50 | 2,000 | 1,100 | 0.55 |") == 4
    assert "2 cores of A CPU, commit abc" in rendered
    with pytest.raises(ValueError, match="no place"):
        document.render(page.replace(document.END, ""))
