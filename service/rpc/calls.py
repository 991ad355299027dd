"""gRPC's calls, adapted to `CallContext`: every method of the table as a handler that grpc.aio knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from service.calls.binary import parse_binary
from service.calls.context import REQUEST_ID_KEY, read_headers
from service.calls.interceptor import Interceptor
from service.calls.method import Kind, Method
from service.calls.methods import METHODS
from service.errors import ServiceError
from service.rpc.status import set_status
from service.rpc.transport.certificates import Certificates
from service.rpc.transport.ending import CallTasks, when_done

Context = grpc.aio.ServicerContext[Any, Any]
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


class Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """The methods of the table. Every one is handled as one with a stream of requests, so that the interceptor says
    when a message is read: after the key was judged."""

    def __init__(self, interceptor: Interceptor, certificates: Certificates | None) -> None:
        """`certificates`: of the port, where it speaks TLS."""
        self._interceptor, self._certificates = interceptor, certificates
        self._handlers = {path: self._handler(method) for path, method in METHODS.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """grpc's entry point: the handler of a call, or None where the method is not one of these."""
        return self._handlers.get(handler_call_details.method)

    def _handler(self, method: Method) -> Any:
        async def unary(_: Any, context: Context) -> bytes | None:
            call = _UnaryCall(self._interceptor, method, context, self._certificates)
            await self._interceptor.handle(method, call)
            return call.answer

        async def streaming(_: Any, context: Context) -> None:
            await self._interceptor.handle(method, _Call(self._interceptor, method, context, self._certificates))

        if method.kind is Kind.UNARY:
            return grpc.stream_unary_rpc_method_handler(unary, None, None)
        return grpc.stream_stream_rpc_method_handler(streaming, None, None)


class _Call:
    """A call with any number of responses. Made within grpc's handler, whose task it remembers."""

    transport = "grpc"

    def __init__(
        self, interceptor: Interceptor, method: Method, context: Context, certificates: Certificates | None
    ) -> None:
        self._door, self._method = interceptor.door, method
        self._context, self._certificates, self._tasks = context, certificates, CallTasks()
        self.headers, self.peer = read_headers(context.invocation_metadata() or ()), context.peer()
        context.set_trailing_metadata(((REQUEST_ID_KEY, self.headers.request_id),))

    def certificate_names(self) -> tuple[str, ...]:
        """Its subject alternative names or, where it has none, its common name."""
        shown = self._context.auth_context()
        names = shown.get("x509_subject_alternative_name") or shown.get("x509_common_name") or ()
        return tuple(name.decode("utf-8", "replace") for name in names)

    def check_certificate(self) -> None:
        """Raises ServiceError (CERTIFICATE_INVALID) where the client's certificate is not valid any more."""
        if self._certificates is not None:
            self._certificates.check(self._context.auth_context().get("x509_pem_cert", ()))  # type: ignore[arg-type]

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline."""
        return self._context.time_remaining()

    async def read(self) -> bytes | None:
        """The next message, or None."""
        raw = await self._context.read()
        return None if raw is EOF else raw

    async def parse(self, raw: bytes) -> Any:
        """Raises ServiceError (ARGUMENT_INVALID)."""
        return parse_binary(self._method, raw)

    async def serialize(self, response: Any) -> bytes:
        """In protobuf's binary encoding."""
        return response.SerializeToString()  # type: ignore[no-any-return]

    async def send(self, raw: bytes) -> None:
        """Returns once gRPC has taken the message."""
        await self._context.write(raw)

    def drop(self) -> None:
        """Cancels the tasks of the call."""
        self._tasks.end()

    def on_done(self, callback: Callable[[], object]) -> None:
        """Has it called once the peer has taken all, or has gone."""
        when_done(self._context, callback)

    def fail(self, error: ServiceError) -> None:
        """Sets the status; it goes when the handler returns."""
        set_status(self._context, error, self.headers.request_id)


class _UnaryCall(_Call):
    """A call whose answer gRPC sends when its handler has returned."""

    answer: bytes | None = None

    async def send(self, raw: bytes) -> None:
        """Hands the answer to gRPC, and has the call cancelled unless the peer takes it within `send_s`."""
        self.answer = raw
        self._tasks.end_unless_done(self._context, self._door.limits.send_s, self._door.metrics.peers_dropped.inc)
