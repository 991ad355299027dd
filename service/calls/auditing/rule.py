"""Rules of the audit log: what is recorded of a method, and the usual kinds of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.audit.chain import Details

Outcome = Callable[[Any, Any], Details | None]  # of request and response; None: nothing to record
Intent = Callable[[Any], Details | None]  # of the request; None: it changes nothing
_MOST_NAME = 80


@dataclass(frozen=True)
class AuditRule:
    """Rule of one method.

    - `intent`: details of the intended change; None: the call only returns data.
    - `outcome`: details of the result.
    """

    action: str
    outcome: Outcome
    intent: Intent | None = None


def handed_out(action: str, outcome: Outcome) -> AuditRule:
    """Makes a rule for a method that returns sensitive data and changes nothing."""
    return AuditRule(action, outcome)


def change(action: str, intent: Callable[[Any], Details], outcome: Outcome | None = None) -> AuditRule:
    """Makes a rule whose outcome is its intent, unless `outcome` adds details."""
    return AuditRule(action, outcome or (lambda q, _: intent(q)), intent)


def forced(action: str, intent: Callable[[Any], Details], outcome: Outcome) -> AuditRule:
    """Makes a rule for a method that only reports what it would do unless `force` is set."""
    return AuditRule(action, outcome, lambda q: intent(q) if q.force else None)


def named(name: str, field: str = "") -> Callable[[Any], Details]:
    """Makes an intent with one text of the request, under a name. `field`: of the request; empty: the name."""
    return lambda q: {name: short(getattr(q, field or name))}


def short(text: str) -> str:
    """Truncates a name that a caller sent. It may not be a valid name."""
    return text[:_MOST_NAME]


def two(one: str, other: str) -> Callable[[Any], Details]:
    """Makes an intent with two texts of the request, under the names of their fields."""
    return lambda q: {one: short(getattr(q, one)), other: short(getattr(q, other))}
