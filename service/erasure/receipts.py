"""Signed receipts for erasures."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from service.audit.chain import Signer, canonical, is_signed


@dataclass(frozen=True)
class Receipt:
    """Signed with the deployment's Ed25519 key over the canonical bytes of everything but `signature`.

    - `what`: records, collection, pictures, training set or tenant.
    - `records`: how many were erased.
    - `subjects`: SHA-256 over `nonce` and the requested ids. Only those who know the ids can tell what it is about.
    - `sequence`: of the last write in the index and its snapshots, all written without the records.
    - `snapshots`: ids of kept snapshots that do not contain the records either.
    - `time_ms`: when nothing was left, in milliseconds since 1970.
    """

    receipt_id: str
    tenant_uid: str
    what: str
    collection: str
    records: int
    subjects: str
    nonce: str
    sequence: int
    snapshots: tuple[str, ...]
    time_ms: int
    public_key: str
    signature: str = ""

    def to_dict(self) -> dict[str, object]:
        """The content that the signature covers."""
        fields = {name: value for name, value in asdict(self).items() if name != "signature"}
        return {**fields, "snapshots": list(self.snapshots)}


@dataclass(frozen=True)
class Erased:
    """An erasure before it is certified.

    - `ids`: the requested ids of records or products; empty: all.
    - `nonce`, `subjects`: digest of the ids, if it was made before.
    """

    tenant_uid: str
    what: str
    collection: str
    records: int
    time_ms: int
    ids: tuple[str, ...] = ()
    sequence: int = 0
    snapshots: tuple[str, ...] = ()
    nonce: str = ""
    subjects: str = ""


def certify(erased: Erased, signer: Signer) -> Receipt:
    """A signed receipt."""
    nonce = erased.nonce or secrets.token_hex(16)
    subjects = erased.subjects or subjects_digest(nonce, erased.ids)
    receipt = Receipt(
        secrets.token_hex(8), erased.tenant_uid, erased.what, erased.collection, erased.records,
        subjects, nonce, erased.sequence, erased.snapshots, erased.time_ms, signer.public_key,
    )  # fmt: skip
    return Receipt(**{**asdict(receipt), "snapshots": receipt.snapshots, "signature": signer.sign(receipt.to_dict())})


def subjects_digest(nonce: str, ids: Iterable[str]) -> str:
    """SHA-256, hexadecimal, over the canonical bytes of the nonce and the sorted ids."""
    return hashlib.sha256(canonical([nonce, sorted(ids)])).hexdigest()


def is_genuine(receipt: Receipt, ids: Iterable[str] | None = None) -> bool:
    """Whether the receipt's own key signed it and, if `ids` are given, whether it is about them."""
    about = ids is None or subjects_digest(receipt.nonce, ids) == receipt.subjects
    return about and is_signed(receipt.to_dict(), receipt.signature, receipt.public_key)
