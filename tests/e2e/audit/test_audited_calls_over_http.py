"""Every audited call over HTTP, ended early: the audit log agrees with the tenant's data."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from afterimage.v1 import audit_service_pb2
from tests.support.audit_comparison import DONE, NOT_DONE, PATIENCE_S, compare, settle
from tests.support.audited_calls import CASES, World
from tests.support.reliability import FaultResult, told

HEAD = "/afterimage.v1.AuditService/GetAuditHead"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the connection is reset, not closed in order
LATE_BYTES = 16  # announced and never sent


class Caller:
    """Makes calls on Connect's paths, each on a connection of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._host, _, port = world.server.http.rpartition(":")
        self._port = int(port)

    def whole(self, method: str, body: bytes, milliseconds: int) -> str:
        """A call with a deadline. Returns OK or the status."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE_S)
        headers = {**self._headers(), "Connect-Timeout-Ms": str(milliseconds)}
        connection.request("POST", method, body, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return "OK" if answer.status == 200 else str(answer.status)

    def left(self, method: str, body: bytes, seconds: float, *, reset: bool, missing: int = 0) -> None:
        """A call whose client leaves after some time. `missing`: bytes of the body that it does not send."""
        headers = {**self._headers(), "Host": "localhost", "Content-Length": str(len(body) + missing)}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with socket.create_connection((self._host, self._port), timeout=PATIENCE_S) as connection:
            connection.sendall(f"POST {method} HTTP/1.1\r\n{head}\r\n".encode() + body)
            threading.Event().wait(seconds)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def head(self) -> int:
        """The last entry, once all earlier calls are recorded. They were accepted before this one."""
        assert self.whole(HEAD, audit_service_pb2.GetAuditHeadRequest().SerializeToString(), 60_000) == "OK"
        settle(self._world)
        return self._world.client.audit_head().number

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._world.key}", "Content-Type": "application/proto"}


def tried(world: World, methods: Iterable[tuple[int, str, str]], dice: random.Random) -> Counter[str]:
    """Makes calls, each with its number and kind of end, and compares. Returns counts of recorded outcomes."""
    caller, outcomes = Caller(world), Counter[str]()
    for number, method, end in methods:
        request = CASES[method].ready(world, number)
        body, head, code = request.SerializeToString(), caller.head(), "CANCELLED"
        if end in ("deadline", "none"):
            code = caller.whole(method, body, dice.randint(1, 60) if end == "deadline" else 60_000)
        else:
            missing, reset = (LATE_BYTES if end == "half a body" else 0), dice.random() < 0.5
            caller.left(method, body, dice.uniform(0.0, 0.03), reset=reset, missing=missing)
        outcome = compare(world, method, (number, request, code), head)
        assert end != "half a body" or outcome in NOT_DONE | {""}, (method, outcome)
        outcomes[outcome] += 1
    return outcomes


ENDS = ("deadline", "left", "half a body", "none")
LONG_S = 10_800  # minutes by itself; a machine with much other work may take ten times as long


def test_a_call_over_http_that_ends_early_is_reported_as_it_was(here: World) -> None:
    dice = random.Random(30)
    ends = [ENDS[n % len(ENDS)] for n in range(len(CASES))]
    dice.shuffle(ends)
    methods = [(200_000 + n, m, end) for n, (m, end) in enumerate(zip(sorted(CASES), ends, strict=True))]
    outcomes = tried(here, methods, dice)
    assert outcomes.keys() & DONE  # those that nothing ended,
    assert outcomes.keys() - DONE  # some were not


@pytest.mark.long
@pytest.mark.reliability
@pytest.mark.timeout(LONG_S)
def test_calls_over_http_are_told_as_they_were_whatever_ends_them(
    here: World, report_faults: Callable[[FaultResult], None]
) -> None:
    rounds = [(m, end) for m in sorted(CASES) for end in (*ENDS, "deadline", "left") * 2]
    methods = told([(300_000 + n, *one) for n, one in enumerate(rounds)], len(rounds), "audited calls over HTTP")
    outcomes = tried(here, methods, random.Random(31))
    done = sum(count for outcome, count in outcomes.items() if outcome in DONE)
    fault = "audited call over HTTP with a deadline, half a body, or a client that leaves"
    report_faults(FaultResult(fault, len(rounds), 0, f"the audit log has the outcome of each; {done:,} were done"))
