"""What is written down of an erasure before it begins, so that whoever comes next can finish it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from service.erasure.receipts import Receipt, subjects_digest

COLLECTION, RECORDS, PICTURES, TRAINING_SET, MODEL = "collection", "records", "pictures", "training set", "model"


@dataclass(frozen=True)
class Erasure:
    """An erasure that may be unfinished. It lies beside the audit log, encrypted, and holds no record's id.

    what: collection, records, pictures, training set or model. place: its name. home: its uid, under which its objects
    lie; of a model: the object. records: how many were, or are to be, erased. subjects: digest of the ids that were
    asked for under `nonce`; empty: all. sequence, snapshots: as a receipt tells them. version: of the policy for
    pictures before. gone: whether nothing is left but objects; of what can be looked at, that is seen there.
    """

    what: str
    place: str
    home: str = ""
    records: int = 0
    nonce: str = ""
    subjects: str = ""
    sequence: int = 0
    snapshots: tuple[str, ...] = ()
    version: int = 0
    gone: bool = False

    @classmethod
    def of_records(cls, place: str, home: str, ids: Iterable[str]) -> Erasure:
        """Of records, by ids of records and products."""
        nonce = secrets.token_hex(16)
        return cls(RECORDS, place, home, nonce=nonce, subjects=subjects_digest(nonce, ids))

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Erasure:
        """As `to_json` gave it."""
        return cls(**{**told, "snapshots": tuple(told["snapshots"])})

    def to_json(self) -> dict[str, Any]:
        """For `from_json`."""
        return {**asdict(self), "snapshots": list(self.snapshots)}

    def erased(self, records: int, **told: Any) -> Erasure:
        """The same once nothing is left but objects."""
        return replace(self, records=records, gone=True, **told)

    def is_about(self, ids: Iterable[str]) -> bool:
        """Whether these ids were asked for."""
        return subjects_digest(self.nonce, ids) == self.subjects


def receipt_from(told: Mapping[str, Any]) -> Receipt:
    """A receipt of its fields, as JSON keeps them."""
    return Receipt(**{**told, "snapshots": tuple(told["snapshots"])})
