"""A tenant searches during an attack: no search fails, memory stays bounded and is freed afterwards.

`make bench-hostile` measures the same for longer, and its figures are in docs/reliability.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.hostile import arrangements, run
from bench.hostile_attacks import NAMES

_SECONDS = 5.0
_MIB_MORE = 1024  # at most, whatever is tried


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_tenant_is_served_beside_each_attack(tmp_path: Path) -> None:
    arrangement = arrangements()[-1]  # on cores of their own, where there are two
    found = run(tmp_path, _SECONDS, arrangement)  # fails where a search does
    assert found.keys() == set(NAMES)
    for told in found.values():
        assert told["beside"]["per_second"] > 0
        assert told["beside"]["most_mib"] < told["alone"]["most_mib"] + _MIB_MORE
