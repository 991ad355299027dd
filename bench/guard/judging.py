"""What rose since the last release, and by how much."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MOST_RISE = 0.10
MOST_FIXED = 1.3  # times what the fixed work cost for the baseline: the machine is busy, or another one
Costs = Sequence[tuple[float, float]]  # milliseconds of the server and of the fixed work, by round


@dataclass(frozen=True)
class Verdict:
    """Of one kind. before, now: cost in units of the fixed work. fixed: what that costs now, times what it cost for the
    baseline. rise: of the cost, .1 is a tenth. sure: whether the machine was quiet enough to tell."""

    kind: str
    before: float
    now: float
    fixed: float

    @property
    def rise(self) -> float:
        return self.now / self.before - 1

    @property
    def rose(self) -> bool:
        return self.rise > MOST_RISE

    @property
    def sure(self) -> bool:
        return self.fixed <= MOST_FIXED


def relative(costs: Costs) -> float:
    """The median over the rounds of the server's cost, in units of the fixed work that was measured beside it."""
    return statistics.median(server / fixed for server, fixed in costs)


def spread(costs: Costs) -> float:
    """The half of the distance of the quartiles of the rounds, as a share of their median."""
    low, middle, high = statistics.quantiles((server / fixed for server, fixed in costs), n=4)
    return (high - low) / 2 / middle


def figures(costs: Mapping[str, Costs]) -> dict[str, dict[str, float]]:
    """What a baseline keeps of each kind."""
    return {
        name: {
            "relative": relative(found),
            "spread": spread(found),
            "cpu_ms": statistics.median(server for server, _ in found),
            "fixed_ms": statistics.median(fixed for _, fixed in found),
        }
        for name, found in costs.items()
    }


def judged(costs: Mapping[str, Costs], baseline: Mapping[str, Mapping[str, float]]) -> list[Verdict]:
    """Verdicts on all measured kinds. Raises KeyError for one that the baseline lacks."""
    return [
        Verdict(name, baseline[name]["relative"], now["relative"], now["fixed_ms"] / baseline[name]["fixed_ms"])
        for name, now in figures(costs).items()
    ]


def table(verdicts: Sequence[Verdict], costs: Mapping[str, Costs]) -> Iterator[str]:
    """Lines for people."""
    yield f"{'':20} {'last release':>13} {'now':>8} {'rise':>8} {'spread':>8}   CPU ms, fixed work, its rise"
    for v in verdicts:
        f = figures({v.kind: costs[v.kind]})[v.kind]
        mark = ("  ROSE" if v.sure else "  rose, machine too busy to tell") if v.rose else ""
        yield (
            f"{v.kind:20} {v.before:13.3f} {v.now:8.3f} {v.rise:+8.1%} {f['spread']:8.1%}   "
            f"{f['cpu_ms']:.3f} {f['fixed_ms']:.3f} {v.fixed - 1:+.0%}{mark}"
        )
