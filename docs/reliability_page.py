"""docs/reliability.md, made of the last results of `make reliability` and `make bench-hostile`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from bench.environment import CHANGES, RESULTS

RESULT, HOSTILE_RESULT = RESULTS / "reliability.json", RESULTS / "hostile.json"
LEAST_KEPT, MOST_TIMES_P99, MOST_MEMORY_LEFT = 0.95, 3.0, 1.2

_HEAD = """# Reliability

`make docs` generates this page from the last result of `make reliability`, which tests each fault below and counts the
outcomes. "Lost" counts acknowledged changes, backups and responses that were lost or wrong. The command in a row
repeats it. Each row has the commit at which it was measured, without any changes to its files. A test that has not run
completely has no row.
"""
_HOSTILE_HEAD = f"""## Hostile clients

`make bench-hostile` attacks a server while a tenant searches, and [benchmarks](benchmarks.md) describes how. A search
that fails ends the measurement without a result, so none failed here. The targets are {LEAST_KEPT:.0%} of the searches
alone, a p99 of at most {MOST_TIMES_P99:.0f} times that alone, and memory that is back within
{MOST_MEMORY_LEFT - 1:.0%} afterwards. The last column names those that were missed.
"""
_ARRANGEMENTS = {
    "apart": "The server has a core of its own. The attacker gets what the tenant leaves of the other.",
    "shared": "Server, tenant and attacker share both cores, so these figures include the work of the attacker.",
}


def render() -> str:
    """docs/reliability.md. Raises ValueError for a result of files that differed from their commit."""
    result, hostile = json.loads(RESULT.read_text()), json.loads(HOSTILE_RESULT.read_text())
    measured = [row["commit"] for row in result["faults"]] + [hostile["machine"]["commit"]]
    if any(commit.endswith(CHANGES) for commit in measured):
        raise ValueError("docs/reliability.md would show results of files that differed from their commit")
    return "\n".join([_HEAD, *_faults(result), "", *_hostile(hostile)])


def _faults(result: Mapping[str, Any]) -> Iterator[str]:
    machine = result["machine"]
    yield (
        f"Last run on {machine['time'][:10]}, {machine['cores']} cores, {machine['cpu']}, "
        f"Python {machine['python']}, in {result['minutes']} minutes. "
        + ("All tests passed." if result["passed"] else "**Some tests failed.**")
    )
    yield "\n| fault | tried | lost | outcome | commit | command |"
    yield "|---|---:|---:|---|---|---|"
    for r in result["faults"]:
        command = f".venv/bin/python -m pytest --timeout 3600 {shlex.quote(r['test'])}"
        yield f"| {r['fault']} | {r['tried']:,} | {r['lost']:,} | {r['outcome']} | {r['commit']} | `{command}` |"


def _hostile(result: Mapping[str, Any]) -> Iterator[str]:
    machine = result["machine"]
    load = machine["load_average"]
    yield _HOSTILE_HEAD
    yield (
        f"Measured on {machine['time'][:10]} at commit {machine['commit']}, {machine['cores']} cores, "
        f"{machine['cpu']}, {result['seconds']:.0f} s each; the load average at the end was {load:.1f}."
    )
    for name, attacks in result["attacks"].items():
        yield f"\n**{name}.** {_ARRANGEMENTS[name]}\n"
        yield (
            "| attack | its calls/s | searches/s alone | during it | kept | p99 alone, ms | during it | "
            "memory before, peak, after, MiB | missed |"
        )
        yield "|---|---:|---:|---:|---:|---:|---:|---|---|"
        for attack, told in attacks.items():
            yield _attack(attack.replace("_", " "), told)
    yield ""


def _attack(name: str, told: Mapping[str, Any]) -> str:
    alone, beside, after = told["alone"], told["beside"], told["after_mib"]
    kept, slower = beside["per_second"] / alone["per_second"], beside["p99_ms"] / alone["p99_ms"]
    missed = [
        target for target, met in (
            ("searches", kept >= LEAST_KEPT), ("p99", slower <= MOST_TIMES_P99),
            ("memory", after <= MOST_MEMORY_LEFT * alone["most_mib"]),
        ) if not met
    ]  # fmt: skip
    return (
        f"| {name} | {told['attack_calls_per_second']:,.0f} | {alone['per_second']:.0f} | {beside['per_second']:.0f} | "
        f"{kept:.0%} | {alone['p99_ms']:.0f} | {beside['p99_ms']:.0f} | "
        f"{alone['most_mib']}, {beside['most_mib']}, {after} | {', '.join(missed) or 'none'} |"
    )
