"""Three servers on one PostgreSQL, whose connections are cut, and which is killed and fails over, while clients write,
read and synchronise: what is acknowledged stays, and each read is as new as promised."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.support.histories.between import Between
from tests.support.histories.index_servers import connections, index_servers
from tests.support.histories.runs import Runs
from tests.support.histories.trial import Fault, Outcome, Trial
from tests.support.postgresql.pair import running_pair
from tests.support.postgresql.server import PostgresServer, running_postgres
from tests.support.reliability import FaultResult

SERVERS, SETTLE_S = 3, 6.0
FEW, MANY, FAILOVERS = 5, 300, 120
Choice = tuple[Sequence[PostgresServer], Callable[[Between], list[Fault]]]


@contextmanager
def one_postgres() -> Iterator[Choice]:
    with running_postgres() as postgres:
        yield [postgres], lambda between: [*between.faults(), *between.faults_of(postgres)]


@contextmanager
def primary_and_standby() -> Iterator[Choice]:
    with running_pair() as pair:
        yield (
            [pair.primary, pair.standby],
            lambda between: [
                *between.faults(),
                Fault("primary killed and standby promoted", lambda: between.all_away(pair.fail_over), 12),
            ],
        )


def undergo(folder: Path, choice: Choice, count: int, seed: int) -> tuple[Outcome, Runs]:
    nodes, faults = choice
    with ExitStack() as opened:
        between = opened.enter_context(closing(Between(nodes, SERVERS, random.Random(seed))))
        servers = index_servers(folder, [between.url(n) for n in range(SERVERS)])
        for server in servers:
            opened.callback(server.close)
        trial, runs = (
            Trial(lambda: connections(servers), between.slack, folder, settle_s=SETTLE_S, seed=seed),
            Runs(servers),
        )
        with trial.running(), runs.running():
            trial.undergo(faults(between), count)
        for server in servers:
            server.store.follow()
            assert list(server.store.problems()) == []
            assert runs.applied_wrongly(server) == 0
    assert runs.accepted_stale() == 0
    assert runs.batches
    assert runs.stale
    assert trial.outcome.wrong() == 0, trial.outcome
    return trial.outcome, runs


def test_what_is_acknowledged_stays_and_reads_are_as_new_as_promised(tmp_path: Path) -> None:
    with one_postgres() as choice:
        undergo(tmp_path, choice, FEW, 1)


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("standby", [False, True], ids=["alone", "failover"])
def test_the_same_over_hundreds_of_faults(
    tmp_path: Path, standby: bool, report_faults: Callable[[FaultResult], None]
) -> None:
    with primary_and_standby() if standby else one_postgres() as choice:
        outcome, runs = undergo(tmp_path, choice, FAILOVERS if standby else MANY, 2)
    syncs = f"{len(runs.batches):,} batches of {len(runs.claims):,} syncs applied once, {runs.stale:,} refused as stale"
    name = "three stores on one PostgreSQL: it and what is between killed, stopped and cut"
    if standby:
        name = (
            "three stores on a primary with a synchronous standby: the primary killed, the standby promoted, and others"
        )
    report_faults(FaultResult(name, outcome.faults.total(), outcome.wrong(), f"{outcome}; {syncs}"))
