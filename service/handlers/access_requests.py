"""AccessService."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from afterimage.v1 import access_service_pb2 as pb
from service.engine.faults import translated_errors
from service.engine.workers import Workers
from service.tenancy.access import AccessRequest, AccessRequests
from service.tenancy.keyring import Principal

P = ParamSpec("P")
T = TypeVar("T")


class AccessHandlers:
    """Documented in access_service.proto."""

    def __init__(self, requests: AccessRequests, workers: Workers) -> None:
        self._requests, self._workers = requests, workers

    async def ListAccessRequests(
        self, request: pb.ListAccessRequestsRequest, caller: Principal
    ) -> pb.ListAccessRequestsResponse:
        """Returns all access requests to the tenant."""
        found = await self._run(self._requests.of, caller.tenant_uid)
        return pb.ListAccessRequestsResponse(requests=[_to_message(r) for r in found])

    async def ApproveAccess(self, request: pb.ApproveAccessRequest, caller: Principal) -> pb.ApproveAccessResponse:
        """Grants an access request."""
        found = await self._run(self._requests.decide, caller.tenant_uid, request.request_id, approved=True)
        return pb.ApproveAccessResponse(request=_to_message(found))

    async def DeclineAccess(self, request: pb.DeclineAccessRequest, caller: Principal) -> pb.DeclineAccessResponse:
        """Declines an access request."""
        found = await self._run(self._requests.decide, caller.tenant_uid, request.request_id, approved=False)
        return pb.DeclineAccessResponse(request=_to_message(found))

    async def RevokeAccess(self, request: pb.RevokeAccessRequest, caller: Principal) -> pb.RevokeAccessResponse:
        """Revokes a granted access."""
        found = await self._run(self._requests.revoke, caller.tenant_uid, request.request_id)
        return pb.RevokeAccessResponse(request=_to_message(found))

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with translated_errors():
            return await self._workers.write(function, *args, **kwargs)


def _to_message(request: AccessRequest) -> pb.AccessRequest:
    return pb.AccessRequest(
        request_id=request.request_id, reason=request.reason, scopes=sorted(request.scopes), minutes=request.minutes,
        state=request.state, requested_ms=request.requested_ms, decided_ms=request.decided_ms, ends_ms=request.ends_ms,
    )  # fmt: skip
