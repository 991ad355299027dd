"""Calls for whoever watches over a tenant's data: the audit log. See `calls`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from afterimage.client.calls import Call
from afterimage.v1 import audit_service_pb2 as pb


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


def list_audit_entries(after: int = 0, page_size: int = 0) -> Call[list[AuditEntry]]:
    """A page of entries whose numbers are above `after`, in order; fewer than the page's size: the last."""
    request = pb.ListAuditEntriesRequest(after=after, page_size=page_size)
    return Call("AuditService", "ListAuditEntries", request, lambda r: [_entry(e) for e in r.entries])


def audit_head() -> Call[AuditHead]:
    """The signed head, to keep: a log that was cut or rewritten later does not fit it."""
    return Call("AuditService", "GetAuditHead", pb.GetAuditHeadRequest(), _head)


def _entry(m: pb.AuditEntry) -> AuditEntry:
    return AuditEntry(m.number, m.time_ms, m.actor, m.action, json.loads(m.details_json), m.previous, m.digest)


def _head(r: pb.GetAuditHeadResponse) -> AuditHead:
    head = r.head
    return AuditHead(head.tenant_uid, head.number, head.digest, head.time_ms, head.signature, r.public_key)
