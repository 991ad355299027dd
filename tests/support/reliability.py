"""What tests of faults did, counted: `make reliability` collects it for docs/reliability.md."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS_VARIABLE = "RELIABILITY_RESULTS"


@dataclass(frozen=True)
class FaultResult:
    """One kind of fault. fault: what was done. tried: how often. lost: acknowledged changes, backups or answers that
    were lost or wrong. outcome: what came of it instead, in a few words."""

    fault: str
    tried: int
    lost: int
    outcome: str


def report(test: str, result: FaultResult) -> None:
    """Adds a result to the file that RELIABILITY_RESULTS names; does nothing where it names none. test: its node id."""
    if path := os.environ.get(RESULTS_VARIABLE):
        with Path(path).open("a") as file:
            file.write(json.dumps({"test": test, **asdict(result)}) + "\n")
