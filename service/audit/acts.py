"""What the audit log keeps about acts in progress: intents without an outcome, and receipts to be handed out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.audit import keys
from service.audit.chain import Details

Resume = Mapping[str, Any]  # JSON


@dataclass(frozen=True)
class OpenAct:
    """An intent without an outcome.

    - `number`: of its entry.
    - `owner`: the process that works on it.
    - `resume`: what is needed to finish it; empty: nothing was stored.
    """

    number: int
    time_ms: int
    actor: str
    action: str
    details: Details
    owner: str
    resume: Resume = field(default_factory=dict)


@dataclass(frozen=True)
class KeptReceipt:
    """A receipt that was not handed out yet.

    - `place`: name of the collection or training set.
    - `subjects`: keyed digest of the requested ids; empty if everything was erased.
    - `fields`: the receipt's fields.
    """

    what: str
    place: str
    subjects: str
    fields: Mapping[str, Any]


class KeyTaken(Exception):
    """Another call has, or had, the idempotency key: `earlier`."""

    def __init__(self, earlier: keys.Earlier) -> None:
        super().__init__("an earlier call has the idempotency key")
        self.earlier = earlier


class KeysUsedUp(Exception):
    """The tenant has used too many idempotency keys within a day."""
