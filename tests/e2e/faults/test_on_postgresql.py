"""Several servers on one PostgreSQL are disturbed while clients write and read: what is acknowledged stays, and each
read is as new as promised."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.histories.several_servers import SeveralServers
from tests.support.histories.trial import Fault, Outcome, Trial
from tests.support.postgresql.pair import Pair, running_pair
from tests.support.postgresql.server import PostgresServer, running_postgres
from tests.support.reliability import FaultResult
from tests.support.servers.shell import Shell

SERVERS, SETTLE_S = 3, 6.0
FEW, MANY, FAILOVERS = 6, 60, 20


def undergo(servers: SeveralServers, folder: Path, faults: Callable[[], list[Fault]], count: int, seed: int) -> Outcome:
    with closing(servers):
        servers.start()
        trial = Trial(servers.connect, servers.between.slack, folder, settle_s=SETTLE_S, seed=seed)
        with trial.running():
            trial.undergo(faults(), count)
        for one in servers.servers:
            shell = Shell(one.server, "acme", one.folder / "state")
            assert shell.json("audit", "verify")["problems"] == []
    assert trial.outcome.wrong() == 0, trial.outcome
    return trial.outcome


def with_one(folder: Path, postgres: PostgresServer, servers: int, count: int) -> Outcome:
    made = SeveralServers(folder, [postgres], servers, 2)
    faults = lambda: [*made.faults(), *made.between.faults(), *made.between.faults_of(postgres)]  # noqa: E731
    return undergo(made, folder, faults, count, 2)


def with_pair(folder: Path, pair: Pair, count: int) -> Outcome:
    made = SeveralServers(folder, [pair.primary, pair.standby], SERVERS, 3)
    failing = Fault("primary killed and standby promoted", lambda: made.between.all_away(pair.fail_over), 12)
    return undergo(made, folder, lambda: [*made.faults(), *made.between.faults(), failing], count, 3)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_two_servers_see_what_is_promised(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        with_one(tmp_path, postgres, 2, FEW)


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_three_servers_over_many_faults(tmp_path: Path, report_faults: Callable[[FaultResult], None]) -> None:
    with running_postgres() as postgres:
        outcome = with_one(tmp_path, postgres, SERVERS, MANY)
    name = "three servers on one PostgreSQL: each, PostgreSQL and what is between killed, stopped and cut"
    report_faults(FaultResult(name, outcome.faults.total(), outcome.wrong(), f"{outcome}; audit logs whole"))


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_three_servers_whose_postgresql_fails_over(
    tmp_path: Path, report_faults: Callable[[FaultResult], None]
) -> None:
    with running_pair() as pair:
        outcome = with_pair(tmp_path, pair, FAILOVERS)
    name = "three servers on a primary with a synchronous standby: the primary killed, the standby promoted, and others"
    report_faults(FaultResult(name, outcome.faults.total(), outcome.wrong(), f"{outcome}; audit logs whole"))
