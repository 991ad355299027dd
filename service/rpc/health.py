"""The service grpc.health.v1.Health.

gRPC's own implementation is not used: a watcher that does not read holds a lock there. The server could then neither
start, stop, nor notify other watchers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc as pb_grpc

Context = grpc.aio.ServicerContext[Any, Any]
_Status = pb.HealthCheckResponse


class HealthServicer(pb_grpc.HealthServicer):  # type: ignore[misc]
    """One status for the server and all its services. For one event loop."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services, self._status, self._changed = ("", *services), _Status.NOT_SERVING, asyncio.Event()

    def set_serving(self, serving: bool) -> None:
        """Changes the status and notifies the watchers."""
        status = _Status.SERVING if serving else _Status.NOT_SERVING
        if status != self._status:
            self._status, changed, self._changed = status, self._changed, asyncio.Event()
            changed.set()

    async def Check(self, request: pb.HealthCheckRequest, context: Context) -> pb.HealthCheckResponse | None:
        """Returns the current status. NOT_FOUND for an unknown service."""
        if request.service in self._services:
            return _Status(status=self._status)
        context.set_code(grpc.StatusCode.NOT_FOUND)
        return None

    async def List(self, request: pb.HealthListRequest, context: Context) -> pb.HealthListResponse:
        """Returns the status of each service."""
        return pb.HealthListResponse(statuses={s: _Status(status=self._status) for s in self._services})

    async def Watch(self, request: pb.HealthCheckRequest, context: Context) -> None:
        """Yields the current status, and each change."""
        sent = None
        while True:
            changed = self._changed
            status = self._status if request.service in self._services else _Status.SERVICE_UNKNOWN
            if status != sent:
                await context.write(_Status(status=status))
            sent = status
            await changed.wait()
