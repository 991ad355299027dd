"""Every audited call, ended in every way: the audit log agrees with the tenant's data."""

from __future__ import annotations

import random
import resource
import threading
from collections import Counter
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any

import grpc
import pytest

from afterimage.v1 import audit_service_pb2
from tests.e2e.audit.conftest import served
from tests.support.audit_comparison import AUDITED, DONE, PATIENCE_S, compare, settle
from tests.support.audited_calls import CASES, World, call, world
from tests.support.reliability import FaultResult, told
from tests.support.servers.server import Server

KILLS, MOST_KILLS = 10, 40
LONG_S = 10_800  # minutes by itself; a machine with much other work may take ten times as long
Report = Callable[[FaultResult], None]
CHANGES = sorted(path for path, rule in AUDITED.items() if rule.intent is not None)


def test_every_audited_call_has_a_case() -> None:
    assert CASES.keys() == AUDITED.keys()


def head_of(world: World, channel: grpc.Channel) -> int:
    """The last entry, once all earlier calls of the connection are recorded: the server has begun them by then."""
    request = audit_service_pb2.GetAuditHeadRequest()
    call(channel, "/afterimage.v1.AuditService/GetAuditHead", request, world.key, PATIENCE_S).result()
    settle(world)
    return world.client.audit_head().number


def answer(under_way: Any) -> str:
    """OK, or the name of the status code."""
    try:
        under_way.result()
    except grpc.FutureCancelledError:
        return "CANCELLED"
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def with_deadlines(world: World, seconds: list[float], first: int) -> list[str]:
    """Makes each call once under each deadline. A negative deadline cancels the call after that time."""
    outcomes, number = [], first
    with grpc.insecure_channel(world.server.target) as channel:
        for method in told(sorted(CASES), len(CASES), "audited calls"):
            for limit in seconds:
                number += 1
                request = CASES[method].ready(world, number)
                head = head_of(world, channel)
                under_way = call(channel, method, request, world.key, limit if limit > 0 else 30.0)
                if limit < 0:
                    threading.Event().wait(-limit)
                    under_way.cancel()
                code = answer(under_way)
                outcomes.append(compare(world, method, (number, request, code), head))
    return outcomes


def test_a_call_that_its_deadline_or_its_caller_ends_is_reported_as_it_was(here: World) -> None:
    dice = random.Random(20)
    outcomes = with_deadlines(here, [dice.uniform(0.001, 0.1), 30.0, -dice.uniform(0.0, 0.03)], 0)
    assert DONE.intersection(outcomes)  # those with time; how many others were cut off is the machine's mood


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(LONG_S)
def test_calls_are_told_as_they_were_under_deadlines_from_1_to_100_ms(here: World, report_faults: Report) -> None:
    dice = random.Random(21)
    seconds = [n / 1000 for n in (1, 2, 4, 8, 16, 32, 64, 100)]
    outcomes = with_deadlines(here, [*seconds, *(-dice.uniform(0.0, 0.06) for _ in range(8))], 10_000)
    done, fault = sum(o in DONE for o in outcomes), "audited call with a deadline of 1 to 100 ms, or cancelled"
    outcome = f"the audit log has the outcome of each; {done:,} were done"
    report_faults(FaultResult(fault, len(outcomes), 0, outcome))


def full(server: Server, is_full: bool) -> None:
    """A full disk for this server alone: every write to a file fails."""
    hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0 if is_full else hard, hard))


@pytest.mark.reliability
def test_on_a_full_disk_no_call_changes_or_hands_out_what_it_cannot_tell(here: World, report_faults: Report) -> None:
    with grpc.insecure_channel(here.server.target) as channel:
        for number, method in enumerate(sorted(CASES), 50_000):
            request = CASES[method].ready(here, number)
            head = head_of(here, channel)
            full(here.server, True)
            try:
                code = answer(call(channel, method, request, here.key, 30.0))
            finally:
                full(here.server, False)
            assert code == "UNAVAILABLE", method
            assert compare(here, method, (number, request, code), head) == ""
    outcome = "refused; nothing is changed or returned without an entry in the audit log"
    report_faults(FaultResult("audited call on a full disk", len(CASES), 0, outcome))


def kill_amid(server: Server, under_way: Sequence[Any], dice: random.Random) -> None:
    """Kills a server once some of the calls were answered, or after a moment."""
    answered = threading.Semaphore(0)
    for made in under_way:
        made.add_done_callback(lambda _: answered.release())
    for _ in range(dice.randint(0, len(under_way) // 2)):
        assert answered.acquire(timeout=PATIENCE_S)
    threading.Event().wait(dice.uniform(0.0, 0.02))
    server.kill()


def killed(folder: Path, kills: int, dice: random.Random, until: Set[str] = frozenset()) -> Counter[str]:
    """Kills a server repeatedly during calls, and compares its records after each start. Returns counts of outcomes.

    Goes on until the outcomes of `until` were among them, or MOST_KILLS.
    """
    outcomes = Counter[str]()
    server = served(folder)
    key = server.key("acme")
    for kill in told(range(MOST_KILLS), kills, "kills of a server"):
        if kill >= kills and outcomes.keys() >= until:
            break
        with (
            server.client(key) as client,
            world(server, "acme", client, key) as here,
            grpc.insecure_channel(server.target) as channel,
        ):
            if not kill:
                here.furnish()
            by_action = {AUDITED[m].action: m for m in dice.sample(CHANGES, len(CHANGES))}
            ready = [(m, n, CASES[m].ready(here, n)) for n, m in enumerate(by_action.values(), 100_000 + 100 * kill)]
            head = head_of(here, channel)
            under_way = [(m, n, q, call(channel, m, q, key, 30.0)) for m, n, q in ready]
            kill_amid(server, [made for *_, made in under_way], dice)
            attempts = [(m, n, q, answer(made)) for m, n, q, made in under_way]
        server = served(folder)
        with server.client(key) as client, world(server, "acme", client, key) as here:
            for method, number, request, code in attempts:
                outcomes[compare(here, method, (number, request, code), head, may_be_unknown=True)] += 1
    assert server.stop() == 0
    return outcomes


def test_after_a_kill_in_the_midst_of_calls_the_log_tells_what_became_of_them(tmp_path: Path) -> None:
    assert killed(tmp_path, 1, random.Random(22))


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(LONG_S)
def test_after_many_kills_in_the_midst_of_calls_the_log_tells_what_became_of_them(
    tmp_path: Path, report_faults: Report
) -> None:
    outcomes = killed(tmp_path, KILLS, random.Random(23), {"done", "found done"})
    assert outcomes.keys() >= {"done", "found done"}
    counts = ", ".join(f"{name or 'never begun'} {count}" for name, count in sorted(outcomes.items()))
    outcome = f"at least {KILLS} kills; the audit log has the outcome of each call: {counts}"
    report_faults(FaultResult("audited call during kill -9 of the server", outcomes.total(), 0, outcome))
