"""AuditService."""

from __future__ import annotations

import json

from afterimage.v1 import audit_service_pb2 as pb
from service.audit.chain import Entry, Head
from service.audit.logs import AuditLogs
from service.engine.faults import translated_errors
from service.engine.workers import Workers
from service.handlers.conversion.values import page_size, within
from service.handlers.request_limits import MAX_AUDIT_NUMBER
from service.tenancy.keyring import Principal
from service.tenancy.limits import ReadAudit


class AuditHandlers:
    """Documented in audit_service.proto."""

    def __init__(self, logs: AuditLogs, read_audit: ReadAudit, workers: Workers) -> None:
        self._logs, self._read_audit, self._workers = logs, read_audit, workers

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, caller: Principal
    ) -> pb.ListAuditEntriesResponse:
        """Returns a page of entries in order."""
        size, after = page_size(request.page_size), within("after", request.after, 0, MAX_AUDIT_NUMBER)
        with translated_errors():
            log = await self._workers.read(self._logs.of, caller.tenant_uid)
            found = await self._workers.read(log.entries, after, size)
        return pb.ListAuditEntriesResponse(entries=[_to_entry(e, digest) for e, digest in found])

    async def GetAuditHead(self, request: pb.GetAuditHeadRequest, caller: Principal) -> pb.GetAuditHeadResponse:
        """Returns the signed head."""
        uid = caller.tenant_uid
        with translated_errors():
            log = await self._workers.read(self._logs.of, uid)
            head = await self._workers.read(log.head) or Head(uid, 0, "", 0)
        return pb.GetAuditHeadResponse(
            public_key=self._logs.signer.public_key,
            head=pb.AuditHead(
                tenant_uid=uid, number=head.number, digest=head.digest, time_ms=head.time_ms, signature=head.signature
            ),
        )

    async def GetReadAudit(self, request: pb.GetReadAuditRequest, caller: Principal) -> pb.GetReadAuditResponse:
        """Returns the interval at which reads are recorded."""
        with translated_errors():
            minutes = await self._workers.read(self._read_audit.every_minutes, caller.tenant_uid)
        return pb.GetReadAuditResponse(every_minutes=minutes)

    async def SetReadAudit(self, request: pb.SetReadAuditRequest, caller: Principal) -> pb.SetReadAuditResponse:
        """Starts or stops recording reads."""
        with translated_errors():
            await self._workers.write(self._read_audit.set, caller.tenant_uid, request.every_minutes)
        return pb.SetReadAuditResponse()


def _to_entry(entry: Entry, digest: str) -> pb.AuditEntry:
    return pb.AuditEntry(
        number=entry.number, time_ms=entry.time_ms, actor=entry.actor, action=entry.action, previous=entry.previous,
        details_json=json.dumps(dict(entry.details), sort_keys=True, ensure_ascii=False), digest=digest,
    )  # fmt: skip
