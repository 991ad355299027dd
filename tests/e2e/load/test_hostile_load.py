"""A tenant searches during an attack: no search fails, memory stays bounded and is freed afterwards.

`make bench-hostile` measures the same for longer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.hostile import arrangements, run
from bench.hostile_attacks import NAMES
from tests.support.reliability import FaultResult, say

_SECONDS = 5.0
_MIB_MORE = 1024  # at most, whatever is tried


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(900)
def test_a_tenant_is_served_beside_each_attack(tmp_path: Path, report_faults: Callable[[FaultResult], None]) -> None:
    say(f"{len(NAMES)} attacks, about {3 * _SECONDS + 12:.0f} s each")
    arrangement = arrangements()[-1]  # on cores of their own, where there are two
    found = run(tmp_path, _SECONDS, arrangement)  # fails where a search does
    for name, told in found.items():
        alone, beside, after = told["alone"], told["beside"], told["after_mib"]
        calls = round((alone["per_second"] + beside["per_second"]) * _SECONDS)
        outcome = (
            f"none of {calls:,} searches failed; {beside['per_second']:.0f} a second beside it and"
            f" {alone['per_second']:.0f} alone, p99 {beside['p99_ms']:.0f} ms and"
            f" {alone['p99_ms']:.0f} ms, {beside['most_mib']} MiB at most, {after} MiB after"
        )
        report_faults(FaultResult(f"hostile client: {name.replace('_', ' ')}", 1, 0, outcome))
        assert beside["per_second"] > 0
        assert beside["most_mib"] < alone["most_mib"] + _MIB_MORE
