"""Compares the audit log with a tenant's data after a call that may have ended early."""

from __future__ import annotations

import threading
import time
import urllib.request
from typing import Any

from afterimage.client import AuditAct, audit_acts
from service.calls.methods import METHODS
from tests.support.audited_calls import CASES, World

DONE = {"done", "found done", "finished"}
NOT_DONE = {"refused", "nothing", "found not done"}
PATIENCE_S = 120.0  # a busy machine may take long, and passes at once what holds
AUDITED = {path: method.row.audit for path, method in METHODS.items() if method.row.audit is not None}
_INTERVALS = {"records.write", "examples.write", "feedback.add", "reads"}  # they are open for minutes


def settle(world: World) -> None:
    """Returns once the server makes and records nothing any more, also for callers that have disconnected."""
    deadline = time.monotonic() + PATIENCE_S
    while busy := _in_progress(world):
        assert time.monotonic() < deadline, busy
        threading.Event().wait(0.02)


def _in_progress(world: World) -> list[str]:
    names = ("afterimage_calls_in_progress ", "afterimage_changes_in_progress ")
    with urllib.request.urlopen(f"http://{world.server.http}/metrics", timeout=PATIENCE_S) as answer:
        found = [line for line in answer.read().decode().splitlines() if line.startswith(names)]
    assert len(found) == len(names), found
    return [line for line in found if not line.endswith(" 0.0")]


def acts_after(world: World, head: int) -> list[AuditAct]:
    """The entries after a given one, once no act is open."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        acts = audit_acts(world.client.list_audit_entries(head, 1000))
        if all(a.outcome != "open" or a.action in _INTERVALS for a in acts):
            return acts
        assert time.monotonic() < deadline, acts
        threading.Event().wait(0.02)


def compare(
    world: World, method: str, attempt: tuple[int, Any, str], head: int, *, may_be_unknown: bool = False
) -> str:
    """Compares recorded and actual changes. Returns the recorded outcomes.

    A server may see a call after its caller gave up, so that differences are checked again.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        wrong, outcome = disagreement(world, method, attempt, head, may_be_unknown)
        if not wrong:
            return outcome
        assert time.monotonic() < deadline, wrong
        threading.Event().wait(0.1)


def disagreement(
    world: World, method: str, attempt: tuple[int, Any, str], head: int, may_be_unknown: bool
) -> tuple[str, str]:
    """The difference, empty if there is none, and the recorded outcome."""
    number, request, code = attempt
    acts = [a for a in acts_after(world, head) if a.action == AUDITED[method].action]
    # An outcome alone is of an earlier call, that went on while nobody waited for it.
    entries = [a for a in acts if AUDITED[method].intent is None or len(a.entries) == 2]
    done = CASES[method].done
    was_done = None if done is None else done(world, number, request)
    outcome = entries[0].outcome if entries else ""
    allowed = DONE | NOT_DONE | {""} if was_done is None else DONE if was_done else NOT_DONE | {""}
    agrees = len(entries) <= 1 and (outcome in allowed or (may_be_unknown and outcome == "unknown"))
    if agrees and (code != "OK" or outcome in DONE):
        return "", outcome
    return f"{method} number {number}: {code}, done {was_done}, told {entries}", outcome
