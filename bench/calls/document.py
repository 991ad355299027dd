"""The table of docs/benchmarks.md that comes from bench/results/calls.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.environment import RESULTS

RESULT = RESULTS / "calls.json"
BEGIN, END = "<!-- `make docs` writes this from bench/results/calls.json -->", "<!-- end of calls.json -->"
_HEAD = """| call | callers | CPU ms, canned | CPU ms, server | ratio | calls/s, canned | calls/s, server | ratio |
|---|---:|---:|---:|---:|---:|---:|---:|"""


def render(page: str) -> str:
    """The page with its table made again. Raises ValueError where it has no place for it."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/benchmarks.md has no place for the table of calls: {BEGIN} and {END}")
    return "".join([before, begin, "\n\n", table(json.loads(RESULT.read_text())), "\n", end, after])


def table(result: Mapping[str, Any]) -> str:
    """The table, and what it was measured on."""
    machine = result["machine"]
    rows = [
        f"| {name} | {callers.split()[0]} | {cost['cpu_ms']['canned']:.2f} | {cost['cpu_ms']['server']:.2f} "
        f"| {cost['cpu_ratio']:.2f} | {cost['per_s']['canned']:,} | {cost['per_s']['server']:,} "
        f"| {cost['rate_ratio']:.2f} |"
        for name, by_callers in result["calls"].items()
        for callers, cost in by_callers.items()
    ]
    ran = f"{machine['cores']} cores of {machine['cpu']}, commit {machine['commit']}, `bench/results/calls.json`."
    return "\n".join([_HEAD, *rows, "", ran, ""])
