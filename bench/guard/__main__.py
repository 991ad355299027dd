"""`make bench-guard`: fails where a call, search or picture costs a tenth more processor time than at the
last release.

`make bench-guard-baseline` writes bench/results/guard.json, which it compares with. What rose is measured once more,
and only fails if the rounds of both together rose. Exit code 1: it rose. 2: so it did, but the machine was too busy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys

from bench.environment import RESULTS, describe_machine, write_result
from bench.guard.judging import MOST_RISE, figures, judged, table
from bench.guard.measuring import Measured, Size, measured
from bench.guard.workload import RECORDS

RESULT = RESULTS / "guard.json"


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="make bench-guard", description=__doc__)
    parser.add_argument("--baseline", action="store_true", help="write the baseline instead of comparing with it")
    parser.add_argument("--starts", type=int, default=Size.starts, help="of the server")
    parser.add_argument("--rounds", type=int, default=Size.rounds, help="of each start")
    parser.add_argument("--calls", type=int, default=Size.calls, help="of each round")
    options = parser.parse_args()
    size = Size(options.starts, options.rounds, options.calls)
    if options.baseline:
        print(write_result("guard", _baseline(measured(size))))
        return 0
    if not RESULT.exists():
        sys.exit("there is no baseline: run `make bench-guard-baseline` at the last release, and commit what it writes")
    return compare(json.loads(RESULT.read_text()), size)


def compare(baseline: dict[str, object], size: Size) -> int:
    """Measures, prints the table. Returns 0 where nothing rose, 1 where something did, 2 where the machine was too busy
    to tell."""
    before = baseline["kinds"]
    assert isinstance(before, dict)
    machine, here = baseline["machine"], describe_machine()
    assert isinstance(machine, dict)
    print(f"last release: {machine['commit']}, measured on {machine['cpu']} ({machine['time'][:10]})")
    if machine["cpu"] != here["cpu"]:
        print(f"this machine is another one, {here['cpu']}: a baseline that is made here compares better")
    costs = {name: list(found) for name, found in measured(size).costs.items()}
    if again := [v.kind for v in judged(costs, before) if v.rose]:
        print(f"measured once more: {', '.join(again)}", flush=True)
        for name, found in measured(size, again).costs.items():
            costs[name] += found
    verdicts = judged(costs, before)
    print("\n".join(table(verdicts, costs)))
    rose = [v for v in verdicts if v.rose]
    for v in rose:
        told = f"costs {v.rise:.0%} more than at {machine['commit']}; {MOST_RISE:.0%} are allowed"
        print(f"{v.kind} {told}", file=sys.stderr)
    if rose and not any(v.sure for v in rose):
        print("fixed work costs more here, too: run it again where nothing else runs", file=sys.stderr)
        return 2
    return int(bool(rose))


def _baseline(found: Measured) -> dict[str, object]:
    return {
        "kinds": figures(found.costs),
        "records": RECORDS,
        "disk_bytes_per_record": round(found.disk_bytes / RECORDS),
        "ready_s": round(statistics.median(found.ready_s), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
