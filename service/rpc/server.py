"""The gRPC server: the methods of the table, health, reflection, transport limits, TLS."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from service.calls.interceptor import Interceptor
from service.calls.limits.keyless import KeylessCalls
from service.calls.methods import SERVICE_NAMES
from service.errors import SettingError
from service.rpc.calls import Methods
from service.rpc.health import HealthServicer
from service.rpc.transport.credentials import port_credentials
from service.rpc.transport.ending import remember_waiting_tasks
from service.rpc.transport.open_calls import OpenCalls, OpenMethods
from service.rpc.transport.options import Transport, channel_options
from service.rpc.transport.strangers import Strangers
from service.runtime.background import end_task

_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class RpcServer:
    """A grpc.aio server. Its health is NOT_SERVING until `set_serving`."""

    def __init__(
        self, transport: Transport, interceptor: Interceptor, keyless: KeylessCalls, methods: Methods | None = None
    ) -> None:
        """`keyless`: counts calls that need no key. `methods`: what answers the methods of the table; None: this
        process, all of them.

        Raises SettingError if the server cannot listen.
        """
        self._certificates = transport.certificates
        open_calls = OpenCalls(interceptor.limiter.metrics, keyless)
        self._server = grpc.aio.server(options=channel_options(transport))
        open_methods: Any = OpenMethods(self._server, open_calls)
        self._server.add_generic_rpc_handlers((methods or Methods(interceptor, self._certificates),))
        self._strangers = Strangers(keyless, transport.max_connections, interceptor.limiter.metrics)
        self._watching: asyncio.Task[None] | None = None
        self._health = HealthServicer(SERVICE_NAMES)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, open_methods)
        if transport.reflection:
            names = (*SERVICE_NAMES, _HEALTH, reflection.SERVICE_NAME)
            servicer = reflection.aio.ReflectionServicer(names)  # type: ignore[attr-defined]
            add_ServerReflectionServicer_to_server(servicer, open_methods)
        self.port = self._bind(transport.address)

    async def start(self) -> None:
        """Accepts connections. The health is NOT_SERVING."""
        remember_waiting_tasks(asyncio.get_running_loop())
        await self._server.start()
        self._watching = asyncio.create_task(self._strangers.watch(self.port), name="connections without a key")

    def set_serving(self, serving: bool) -> None:
        """Sets the health of the server and of each service."""
        self._health.set_serving(serving)

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls. Running ones have `grace_s` seconds to finish."""
        if self._watching is not None:
            await end_task(self._watching)
        await self._server.stop(grace_s)

    def _bind(self, address: str) -> int:
        try:
            if self._certificates is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, port_credentials(self._certificates))
        except RuntimeError as error:
            raise SettingError.about("listen", f"{address} cannot be bound: {error}") from None
