"""Calls for supervision: the audit log, access by the operator, erasures. See `calls`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from afterimage.client.calls import Call
from afterimage.client.checks import checked_texts
from afterimage.v1 import access_service_pb2 as access_pb
from afterimage.v1 import audit_service_pb2 as pb
from afterimage.v1 import erasure_service_pb2 as erasure_pb

_PATIENCE_S = 3600.0  # work that grows with a collection


@dataclass(frozen=True)
class AuditEntry:
    """An entry of the audit log.

    - details: names of collections, counts, ids of keys and runs.
    - previous, digest: SHA-256, hexadecimal, of the bytes that docs/formats/audit-log.md defines.
    """

    number: int
    time_ms: int
    actor: str
    action: str
    details: dict[str, Any]
    previous: str
    digest: str


@dataclass(frozen=True)
class AuditHead:
    """The last entry, signed with the server's Ed25519 key. number 0: the log is empty. All values are hexadecimal."""

    tenant_uid: str
    number: int
    digest: str
    time_ms: int
    signature: str
    public_key: str


@dataclass(frozen=True)
class AuditAct:
    """An intent and its outcome.

    - number, time_ms: of its first entry.
    - outcome: see below.
    - details: those of the outcome over those of the intent.

    Outcomes: done. refused, nothing: nothing was changed. finished: with another act, which the details name. found
    done, found not done: determined from the state after an interruption. unknown: the state does not show it. open: in
    progress, or to be finished later.
    """

    number: int
    time_ms: int
    actor: str
    action: str
    outcome: str
    details: dict[str, Any]
    entries: tuple[int, ...]


def audit_acts(entries: Iterable[AuditEntry]) -> list[AuditAct]:
    """Combines intents and outcomes, ordered by their first entries.

    An outcome whose intent is not among the entries is an act of its own.
    """
    acts: dict[int, AuditAct] = {}
    for entry in entries:
        details = dict(entry.details)
        if entry.action == "intent":
            action = str(details.pop("act", ""))
            acts[entry.number] = AuditAct(
                entry.number, entry.time_ms, entry.actor, action, "open", details, (entry.number,)
            )
            continue
        begun = acts.get(int(details.pop("intent", 0)))
        action, outcome = entry.action, "done"
        if entry.action == "outcome":
            action, outcome = str(details.pop("act", "")), str(details.pop("outcome", ""))
        if begun is None:
            acts[entry.number] = AuditAct(
                entry.number, entry.time_ms, entry.actor, action, outcome, details, (entry.number,)
            )
        else:
            acts[begun.number] = replace(
                begun, outcome=outcome, details={**begun.details, **details}, entries=(begun.number, entry.number)
            )
    return list(acts.values())


def list_audit_entries(after: int = 0, page_size: int = 0) -> Call[list[AuditEntry]]:
    """Returns a page of entries with numbers above `after`, in order. The last page has fewer than requested."""
    request = pb.ListAuditEntriesRequest(after=after, page_size=page_size)
    return Call("AuditService", "ListAuditEntries", request, lambda r: [_entry(e) for e in r.entries])


def audit_head() -> Call[AuditHead]:
    """Returns the signed head. Store it: a log that is truncated or rewritten later does not match it."""
    return Call("AuditService", "GetAuditHead", pb.GetAuditHeadRequest(), _head)


def read_audit() -> Call[int]:
    """Returns the interval in minutes at which the audit log reports reads; 0: reads are not logged."""
    return Call("AuditService", "GetReadAudit", pb.GetReadAuditRequest(), lambda r: int(r.every_minutes))


def set_read_audit(every_minutes: int) -> Call[None]:
    """Enables logging of reads: which key read which collection by which call, how often, and by which fields it
    filtered.

    every_minutes: 1 to 1,440; 0: disables it.
    """
    request = pb.SetReadAuditRequest(every_minutes=every_minutes)
    return Call("AuditService", "SetReadAudit", request, lambda _: None)


@dataclass(frozen=True)
class AccessRequest:
    """A request of the operator for access.

    - state: pending, approved, declined, revoked, over or lapsed.
    - Times are milliseconds since 1970; 0: not yet.
    """

    request_id: str
    reason: str
    scopes: tuple[str, ...]
    minutes: int
    state: str
    requested_ms: int
    decided_ms: int
    ends_ms: int


def list_access_requests() -> Call[list[AccessRequest]]:
    """Returns all requests of the server's operator, newest first."""
    request = access_pb.ListAccessRequestsRequest()
    return Call("AccessService", "ListAccessRequests", request, lambda r: [_request(m) for m in r.requests])


def approve_access(request_id: str) -> Call[AccessRequest]:
    """Grants the operator access for the requested time, from now on."""
    request = access_pb.ApproveAccessRequest(request_id=request_id)
    return Call("AccessService", "ApproveAccess", request, lambda r: _request(r.request), retry_safe=False)


def decline_access(request_id: str) -> Call[AccessRequest]:
    """Declines a request."""
    request = access_pb.DeclineAccessRequest(request_id=request_id)
    return Call("AccessService", "DeclineAccess", request, lambda r: _request(r.request), retry_safe=False)


def revoke_access(request_id: str) -> Call[AccessRequest]:
    """Revokes an access early."""
    request = access_pb.RevokeAccessRequest(request_id=request_id)
    return Call("AccessService", "RevokeAccess", request, lambda r: _request(r.request), retry_safe=False)


def _request(m: access_pb.AccessRequest) -> AccessRequest:
    return AccessRequest(
        m.request_id, m.reason, tuple(m.scopes), m.minutes, m.state, m.requested_ms, m.decided_ms, m.ends_ms
    )


@dataclass(frozen=True)
class ErasureReceipt:
    """The certificate of an erasure; docs/formats/erasure-receipt.md defines what is signed."""

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
    signature: str


def erase_records(
    collection: str, *, record_ids: Sequence[str] = (), product_ids: Sequence[str] = ()
) -> Call[ErasureReceipt]:
    """Erases records by id and by product. Returns after all their data has been removed."""
    request = erasure_pb.EraseRecordsRequest(
        collection=collection,
        record_ids=checked_texts("record_ids", record_ids),
        product_ids=checked_texts("product_ids", product_ids),
    )
    return Call("ErasureService", "EraseRecords", request, lambda r: to_receipt(r.receipt), timeout_s=_PATIENCE_S)


def erase_collection(name: str) -> Call[ErasureReceipt]:
    """Erases a collection with all its files and snapshots."""
    request = erasure_pb.EraseCollectionRequest(name=name)
    return Call("ErasureService", "EraseCollection", request, lambda r: to_receipt(r.receipt), retry_safe=False)


def to_receipt(m: erasure_pb.ErasureReceipt) -> ErasureReceipt:
    """Returns the receipt of a message."""
    return ErasureReceipt(
        m.receipt_id, m.tenant_uid, m.what, m.collection, m.records, m.subjects, m.nonce, m.sequence,
        tuple(m.snapshots), m.time_ms, m.public_key, m.signature,
    )  # fmt: skip


def _entry(m: pb.AuditEntry) -> AuditEntry:
    return AuditEntry(m.number, m.time_ms, m.actor, m.action, json.loads(m.details_json), m.previous, m.digest)


def _head(r: pb.GetAuditHeadResponse) -> AuditHead:
    head = r.head
    return AuditHead(head.tenant_uid, head.number, head.digest, head.time_ms, head.signature, r.public_key)
