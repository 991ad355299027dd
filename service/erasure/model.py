"""The stored state of an erasure, written before it begins so that it can be finished later."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from service.erasure.receipts import Receipt, subjects_digest

COLLECTION, RECORDS, PICTURES, TRAINING_SET, MODEL = "collection", "records", "pictures", "training set", "model"


@dataclass(frozen=True)
class Erasure:
    """An erasure that may be unfinished. Stored encrypted beside the audit log, without the id of any record.

    - `what`: collection, records, pictures, training set or model.
    - `place`: its name.
    - `home`: the uid under which its objects are stored; for a model: the object.
    - `records`: how many were, or will be, erased.
    - `subjects`: digest of the requested ids under `nonce`; empty: all.
    - `sequence`, `snapshots`: as in the receipt.
    - `version`: of the picture policy before the change.
    - `gone`: only objects are left. Where this can be observed directly, `Remains.gone` does so.
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
        """The erasure of records, by ids of records and products."""
        nonce = secrets.token_hex(16)
        return cls(RECORDS, place, home, nonce=nonce, subjects=subjects_digest(nonce, ids))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Erasure:
        """The inverse of `to_json`."""
        return cls(**{**fields, "snapshots": tuple(fields["snapshots"])})

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**asdict(self), "snapshots": list(self.snapshots)}

    def erased(self, records: int, **fields: Any) -> Erasure:
        """The same erasure with only objects left."""
        return replace(self, records=records, gone=True, **fields)

    def is_about(self, ids: Iterable[str]) -> bool:
        """Whether these ids were requested."""
        return subjects_digest(self.nonce, ids) == self.subjects


def receipt_from(fields: Mapping[str, Any]) -> Receipt:
    """A receipt from its fields in JSON."""
    return Receipt(**{**fields, "snapshots": tuple(fields["snapshots"])})
