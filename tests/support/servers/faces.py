"""Everything that surrounds calls, with its real parts, over handlers that tests script. It is reached by gRPC, over a
socket, and in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from index import DataDirectory
from service.audit.logs import AuditLogs
from service.audit.recorder import Recorder
from service.audit.tally import Tallies
from service.calls.admission import CallAdmission, Credentials, Refusals
from service.calls.error_details import to_status
from service.calls.gate import Gate
from service.calls.handlers import bind
from service.calls.in_process import InProcess, InProcessCaller
from service.calls.interceptor import Interceptor
from service.calls.limits.call_limiter import CallLimiter, CallLimits
from service.calls.limits.failures import AuthenticationFailures
from service.calls.limits.keyless import KeylessCalls
from service.calls.method import Method
from service.calls.methods import METHODS, SERVICE_NAMES
from service.calls.pipeline import CallPipeline, Deadlines
from service.calls.recording import CallRecording
from service.coordination.rates import Rates
from service.errors import Code, Reason, ServiceError
from service.metrics import Metrics
from service.rpc.server import RpcServer
from service.rpc.status import DETAILS_KEY
from service.rpc.transport.options import Transport
from service.runtime.certificates import Certificates
from service.tenancy.allowances import Allowances
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
from service.web.api.callers import Callers, Entry
from service.web.api.door import ApiDoor
from service.web.connections import ConnectionLimits, Connections
from service.web.http import HttpPlace, HttpServer, Pages
from service.web.open_pages import Readiness, Vitals
from service.web.pictures import LinkLimits, PicturePage

REQUEST_ID = "the-same-for-both"
LIMITS = CallLimits(
    calls=8, streams=8, in_flight_bytes=1 << 22, message_bytes=1 << 20, message_s=30.0, idle_s=30.0, send_s=30.0
)
WORKER_SECRET = "what workers share with the server"
_ATTEMPTS = 3
Script = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True)
class Outcome:
    """What came of a call. status: of an error, empty where there was none. code:
    the number of the error's code, as the transport itself says it."""

    responses: tuple[Any, ...]
    status: bytes
    code: int = 0

    @property
    def error(self) -> Status:
        """The error."""
        return Status.FromString(self.status)


class Faces:
    """Use it as an asynchronous context manager. script: what each handler does with a request and its caller."""

    def __init__(
        self, folder: Path, *, deadline_s: float = 30.0, certificates: Certificates | None = None,
        connection_limits: ConnectionLimits = ConnectionLimits(), **limits: Any
    ) -> None:  # fmt: skip
        """`certificates`: for TLS on the HTTP port. `limits`: fields of CallLimits that differ from LIMITS."""
        self._connection_limits = connection_limits
        self.pictures: dict[str, bytes] = {}  # by token
        self._certificates = certificates
        self._deadlines, self._limits = Deadlines(deadline_s, deadline_s), replace(LIMITS, **limits)
        self._ends, self._folder = AsyncExitStack(), folder
        self.registry = TenantRegistry(folder / "registry.db", MasterKey(bytes(32)))
        self.uid = self.registry.create_tenant("acme").uid
        self.audit, self.metrics, self.gate = AuditLogs(DataDirectory(folder), self.registry), Metrics(), Gate()
        self.script: Script | None = None
        self.faces: dict[str, Callable[..., Coroutine[Any, Any, Outcome]]] = {
            "grpc": self.grpc,
            "in_process": self.in_process,
        }

    async def __aenter__(self) -> Faces:
        nowhere = Redis(unix_socket_path=str(self._folder / "nowhere"), retry=Retry(NoBackoff(), 0))
        recorder, keyless = Recorder(self.audit, lambda uid, act: None), KeylessCalls(self._close_connection)
        refusals = Refusals(AuthenticationFailures(0), keyless, self.metrics)
        credentials = Credentials(self.registry.api_keys, "", WORKER_SECRET)
        allowances = Allowances(self.registry.limits, Rates(nowhere), self.metrics)
        admission = CallAdmission(credentials, allowances, refusals, self.gate)
        recording = CallRecording(self.audit, recorder, Tallies(self.audit, recorder))
        self.limiter = CallLimiter(self._limits, self.metrics)
        pipeline = CallPipeline(self.gate, admission, self.limiter, self._deadlines, recording)
        interceptor = Interceptor(pipeline, bind(METHODS, self._handlers()))
        self._in_process = InProcess(interceptor)
        transport = Transport("127.0.0.1:0", None, LIMITS.message_bytes, 10, 1.0, False)
        server = RpcServer(transport, interceptor, keyless)
        await server.start()
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        api = ApiDoor(interceptor, keyless, Entry(certificates=self._certificates))
        vitals = Vitals(self.metrics, lambda: Readiness(True), lambda: None)
        limits = replace(self._connection_limits, knows=keyless.knows, admits=keyless.admit_connection)
        self.connections, peer = Connections(limits, self.metrics), Callers(Entry()).peer
        reading = {"/pictures/{token}": PicturePage(self._picture, LinkLimits(self.limiter, keyless, peer)).get}
        pages = Pages(
            reading, api=api.handle, admits=lambda request: keyless.admit(peer(request)), connections=self.connections,
            certificates=self._certificates,
        )  # fmt: skip
        web = HttpServer(vitals, HttpPlace(), pages)
        await web.start("127.0.0.1", 0)
        self.http = f"{'https' if self._certificates else 'http'}://127.0.0.1:{web.port}"
        self._ends.push_async_callback(web.stop)
        self._ends.push_async_callback(nowhere.aclose)
        self._ends.push_async_callback(server.stop, 0)
        self._ends.push_async_callback(lambda: self._channel.close(None))
        self.gate.open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._ends.aclose()
        self.audit.close()
        self.registry.close()

    async def both(self, path: str, *requests: Message, **sender: Any) -> Outcome:
        """Makes a call over both faces, which must end alike; returns how."""
        over_grpc = await self.grpc(path, requests, **sender)
        in_process = await self.in_process(path, requests, **sender)
        assert in_process == over_grpc, (path, over_grpc, in_process)
        return over_grpc

    async def grpc(
        self, path: str, requests: Sequence[Message], headers: Sequence[tuple[str, str]] = (), *, open_end: bool = False
    ) -> Outcome:
        """Over the socket; open_end: the caller does not say that there are no more requests.

        Where the server ends a call while grpc.aio still writes, the client may lose the status and say INTERNAL
        without any details, which this server never does. The call is repeated then.
        """
        for _ in range(_ATTEMPTS):
            outcome = await self.grpc_stream(path, _given(requests, open_end=open_end), headers)
            if outcome.status or outcome.code != Code.INTERNAL.value:
                break
        return outcome

    async def grpc_stream(
        self, path: str, requests: AsyncIterator[Message], headers: Sequence[tuple[str, str]] = ()
    ) -> Outcome:
        """Over the socket, with requests that are sent as the iterator yields them."""
        make: Any = self._channel.stream_stream(path, None, None)
        metadata = (("x-request-id", REQUEST_ID), *headers)
        call = make(_raw(requests), metadata=metadata)
        responses = []
        try:
            async for raw in call:
                responses.append(METHODS[path].response.FromString(raw))
        except grpc.aio.AioRpcError as error:
            trailing: Any = error.trailing_metadata() or ()
            details = dict(trailing).get(DETAILS_KEY, b"")
            if not METHODS[path].kind.streams_responses:
                responses = []  # grpc.aio sends an empty message before the status of a unary call
            return Outcome(tuple(responses), bytes(details), error.code().value[0])
        return Outcome(tuple(responses), b"")

    async def in_process(
        self, path: str, requests: Sequence[Message], headers: Sequence[tuple[str, str]] = (), *, open_end: bool = False
    ) -> Outcome:
        """Without a socket."""
        sender, responses = InProcessCaller((("x-request-id", REQUEST_ID), *headers)), []
        try:
            async for response in self._in_process.stream(path, _given(requests, open_end=open_end), sender):
                responses.append(response)
        except ServiceError as error:
            return Outcome(tuple(responses), to_status(error, REQUEST_ID).SerializeToString(), int(error.reason.code))
        return Outcome(tuple(responses), b"")

    def _close_connection(self, peer: str) -> None:
        if self.connections.close_peer(peer):
            self.metrics.connections_closed.inc()

    async def _picture(self, token: str) -> bytes:
        if token not in self.pictures:
            raise ServiceError(Reason.LINK_INVALID, "the link was not created by this server")
        return self.pictures[token]

    def _handlers(self) -> dict[str, object]:
        return {
            service: type("Scripted", (), {
                m.row.name: self._streaming(m) if m.kind.streams_responses else self._unary(m)
                for m in METHODS.values() if m.service == service
            })()
            for service in SERVICE_NAMES
        }  # fmt: skip

    def _unary(self, method: Method) -> Any:
        async def handle(_: object, request: Any, caller: Any) -> Any:
            made = await self.script(request, caller) if self.script is not None else None
            return method.response() if made is None else made

        return handle

    def _streaming(self, method: Method) -> Any:
        async def handle(_: object, given: Any, caller: Any) -> AsyncIterator[Any]:
            requests = given if method.kind.streams_requests else _given([given])
            async for request in requests:
                made = await self.script(request, caller) if self.script is not None else None
                yield method.response() if made is None else made

        return handle


async def _given(requests: Sequence[Message], *, open_end: bool = False) -> AsyncIterator[Message]:
    for request in requests:
        yield request
    if open_end:
        await asyncio.Event().wait()


async def _raw(requests: AsyncIterator[Message]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request.SerializeToString()
