"""A server of three processes is disturbed while clients write and read: each answer is one that a single correct
process could have given, whichever process gave it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.histories.one_server import DisturbedServer
from tests.support.histories.trial import Outcome, Trial
from tests.support.reliability import FaultResult
from tests.support.servers.shell import Shell

FEW, MANY = 10, 40


def undergo(folder: Path, count: int, seed: int) -> Outcome:
    disturbed = DisturbedServer(folder, "--processes", "3", chance=random.Random(seed))
    key = disturbed.server.key("acme")
    disturbed.create_collection(key)
    trial = Trial(lambda: disturbed.connections(key), lambda *_: 0.0, folder, settle_s=5, seed=seed)
    with trial.running():
        trial.undergo(disturbed.faults(), count)
    shell = Shell(disturbed.server, "acme", folder / "state")
    assert shell.json("audit", "verify")["problems"] == []
    assert disturbed.server.stop() == 0
    assert "internal error" not in disturbed.server.log.read_text()
    assert trial.outcome.wrong() == 0, trial.outcome
    return trial.outcome


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_clients_of_three_processes_see_one_service(tmp_path: Path) -> None:
    undergo(tmp_path, FEW, 1)


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_the_same_over_many_faults(tmp_path: Path, report_faults: Callable[[FaultResult], None]) -> None:
    outcome = undergo(tmp_path, MANY, 2)
    name = "one server of three processes: these and Redis killed and stopped"
    report_faults(FaultResult(name, outcome.faults.total(), outcome.wrong(), f"{outcome}; audit log whole"))
