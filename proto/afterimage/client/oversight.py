"""Calls for whoever watches over a tenant's data: the audit log, who was let in, what was erased. See `calls`."""

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
    """Something that was done with the tenant. details: names of collections, counts, ids of keys and runs. previous,
    digest: SHA-256, hexadecimal; docs/formats/audit-log.md says of what."""

    number: int
    time_ms: int
    actor: str
    action: str
    details: dict[str, Any]
    previous: str
    digest: str


@dataclass(frozen=True)
class AuditHead:
    """The last entry, signed with Ed25519 under the server's key; number 0: the log is empty. All hexadecimal."""

    tenant_uid: str
    number: int
    digest: str
    time_ms: int
    signature: str
    public_key: str


@dataclass(frozen=True)
class AuditAct:
    """Something that was done or tried, with its intent and its outcome as one thing. number, time_ms: of its first
    entry. outcome: done; refused, nothing: nothing was changed; finished: with another act, which the details name;
    found done, found not done: as its state showed after it was cut off; unknown: that could not be seen; open: it is
    being made, or will be finished. details: of the outcome over those of the intent."""

    number: int
    time_ms: int
    actor: str
    action: str
    outcome: str
    details: dict[str, Any]
    entries: tuple[int, ...]


def audit_acts(entries: Iterable[AuditEntry]) -> list[AuditAct]:
    """Puts intents and outcomes together, in order of their beginnings. Where an outcome's intent is not among the
    entries it stands for itself."""
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
    """A page of entries whose numbers are above `after`, in order; fewer than the page's size: the last."""
    request = pb.ListAuditEntriesRequest(after=after, page_size=page_size)
    return Call("AuditService", "ListAuditEntries", request, lambda r: [_entry(e) for e in r.entries])


def audit_head() -> Call[AuditHead]:
    """The signed head, to keep: a log that was cut or rewritten later does not fit it."""
    return Call("AuditService", "GetAuditHead", pb.GetAuditHeadRequest(), _head)


def read_audit() -> Call[int]:
    """How many minutes the intervals are that the audit log tells of reads in; 0: it does not."""
    return Call("AuditService", "GetReadAudit", pb.GetReadAuditRequest(), lambda r: int(r.every_minutes))


def set_read_audit(every_minutes: int) -> Call[None]:
    """Has the audit log tell of reads: which key read which collection by which call, how often, and by which fields it
    filtered. every_minutes: 1 to 1,440; 0: not any more."""
    request = pb.SetReadAuditRequest(every_minutes=every_minutes)
    return Call("AuditService", "SetReadAudit", request, lambda _: None)


@dataclass(frozen=True)
class AccessRequest:
    """The operator's request for access. state: pending, approved, declined, revoked, over or lapsed. Times are
    milliseconds since 1970, 0 before they come."""

    request_id: str
    reason: str
    scopes: tuple[str, ...]
    minutes: int
    state: str
    requested_ms: int
    decided_ms: int
    ends_ms: int


def list_access_requests() -> Call[list[AccessRequest]]:
    """All requests of the server's operator, the newest first."""
    request = access_pb.ListAccessRequestsRequest()
    return Call("AccessService", "ListAccessRequests", request, lambda r: [_request(m) for m in r.requests])


def approve_access(request_id: str) -> Call[AccessRequest]:
    """Lets the operator in for the time that was asked for, from now on."""
    request = access_pb.ApproveAccessRequest(request_id=request_id)
    return Call("AccessService", "ApproveAccess", request, lambda r: _request(r.request), retry_safe=False)


def decline_access(request_id: str) -> Call[AccessRequest]:
    """Refuses a request."""
    request = access_pb.DeclineAccessRequest(request_id=request_id)
    return Call("AccessService", "DeclineAccess", request, lambda r: _request(r.request), retry_safe=False)


def revoke_access(request_id: str) -> Call[AccessRequest]:
    """Ends an access before its time."""
    request = access_pb.RevokeAccessRequest(request_id=request_id)
    return Call("AccessService", "RevokeAccess", request, lambda r: _request(r.request), retry_safe=False)


def _request(m: access_pb.AccessRequest) -> AccessRequest:
    return AccessRequest(
        m.request_id, m.reason, tuple(m.scopes), m.minutes, m.state, m.requested_ms, m.decided_ms, m.ends_ms
    )


@dataclass(frozen=True)
class ErasureReceipt:
    """What the server certifies once something is erased; docs/formats/erasure-receipt.md says what is signed."""

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
    """Erases records by id and by product; returns once nothing of them is left anywhere."""
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
    """A receipt of a message."""
    return ErasureReceipt(
        m.receipt_id, m.tenant_uid, m.what, m.collection, m.records, m.subjects, m.nonce, m.sequence,
        tuple(m.snapshots), m.time_ms, m.public_key, m.signature,
    )  # fmt: skip


def _entry(m: pb.AuditEntry) -> AuditEntry:
    return AuditEntry(m.number, m.time_ms, m.actor, m.action, json.loads(m.details_json), m.previous, m.digest)


def _head(r: pb.GetAuditHeadResponse) -> AuditHead:
    head = r.head
    return AuditHead(head.tenant_uid, head.number, head.digest, head.time_ms, head.signature, r.public_key)
