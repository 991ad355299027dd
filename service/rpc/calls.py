"""Adapts gRPC's calls to `CallContext`."""

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
from service.rpc.transport.ending import CallTasks, when_done
from service.runtime.certificates import Certificates
from service.tracing.allowed import Door

Context = grpc.aio.ServicerContext[Any, Any]
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


class Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """The methods of the table as handlers of grpc.aio.

    Each is registered with a stream of requests, so that no message is read before the interceptor has checked the key.
    """

    def __init__(self, interceptor: Interceptor, certificates: Certificates | None) -> None:
        """`certificates`: those of the port; None without TLS."""
        self._interceptor, self._certificates = interceptor, certificates
        self.unary_call, self.streaming_call = self.call_types()
        self._handlers = {path: self._handler(method) for path, method in METHODS.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Returns the handler of a call; None if the method is not in the table. gRPC's entry point."""
        return self._handlers.get(handler_call_details.method)

    def call_types(self) -> tuple[type[UnaryCall], type[Call]]:
        """What adapts calls of one response, and others."""
        return UnaryCall, Call

    def _handler(self, method: Method) -> Any:
        async def unary(_: Any, context: Context) -> bytes | None:
            call = self.unary_call(self._interceptor, method, context, self._certificates)
            await self._interceptor.handle(method, call)
            return call.answer

        async def streaming(_: Any, context: Context) -> None:
            await self._interceptor.handle(
                method, self.streaming_call(self._interceptor, method, context, self._certificates)
            )

        if method.kind is Kind.UNARY:
            return grpc.stream_unary_rpc_method_handler(unary, None, None)
        return grpc.stream_stream_rpc_method_handler(streaming, None, None)


class Call:
    """A call with any number of responses. Use it in the task of gRPC's handler, which `send` and `drop` may end."""

    transport, door, sends_later, judged_before = "grpc", Door.GRPC, False, False

    def __init__(
        self, interceptor: Interceptor, method: Method, context: Context, certificates: Certificates | None
    ) -> None:
        self._limiter, self._method = interceptor.limiter, method
        self._context, self._certificates = context, certificates
        self._ending: _Ending | None = None
        self.metadata = tuple(context.invocation_metadata() or ())
        self.headers, self.peer = read_headers(self.metadata), context.peer()
        context.set_trailing_metadata(((REQUEST_ID_KEY, self.headers.request_id),))

    def certificate_names(self) -> tuple[str, ...]:
        """The subject alternative names, or the common name if there are none."""
        shown = self._context.auth_context()
        names = shown.get("x509_subject_alternative_name") or shown.get("x509_common_name") or ()
        return tuple(name.decode("utf-8", "replace") for name in names)

    def check_certificate(self) -> None:
        """Raises ServiceError (CERTIFICATE_INVALID) if the client's certificate is no longer valid."""
        if self._certificates is not None:
            self._certificates.check(self._context.auth_context().get("x509_pem_cert", ()))

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline."""
        return self._context.time_remaining()

    async def read(self) -> bytes | None:
        """Returns the next message, or None."""
        raw = await self._context.read()
        return None if raw is EOF else raw

    async def parse(self, raw: bytes) -> Any:
        """Parses a request. Raises ServiceError (ARGUMENT_INVALID)."""
        return parse_binary(self._method, raw)

    async def serialize(self, response: Any) -> bytes:
        """Serializes a response in protobuf's binary encoding."""
        return response.SerializeToString()  # type: ignore[no-any-return]

    async def send(self, raw: bytes) -> None:
        """Returns once gRPC has taken the message."""
        await self._context.write(raw)

    def drop(self) -> None:
        """Cancels the tasks of the call."""
        CallTasks().end()

    def on_done(self, callback: Callable[[], object]) -> None:
        """Calls `callback` once the peer has taken the whole response or has disconnected."""
        if self._ending is None:
            self._ending = _Ending()
            when_done(self._context, self._ending.end)
        self._ending.add(callback)

    def fail(self, error: ServiceError) -> None:
        """Sets the status, which gRPC sends when the handler returns."""
        set_status(self._context, error, self.headers.request_id)


class _Ending:
    """What is to be done at the end of a call. It knows nothing of the call: gRPC keeps it with the context, which the
    call has, and a cycle would keep the headers of the call, and its key, until garbage is collected."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], object]] = []
        self._is_over = False

    def add(self, callback: Callable[[], object]) -> None:
        if self._is_over:
            callback()
        else:
            self._callbacks.append(callback)

    def end(self) -> None:
        self._is_over = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class UnaryCall(Call):
    """A call whose response gRPC sends when its handler has returned."""

    sends_later = True
    answer: bytes | None = None

    async def send(self, raw: bytes) -> None:
        """Passes the response to gRPC. Cancels the call unless the peer takes it within `send_s`."""
        self.answer = raw
        tasks, dropped = CallTasks(), self._limiter.metrics.peers_dropped

        def end() -> None:
            dropped.inc()
            tasks.end()

        self.on_done(self._limiter.sends.add(end).cancel)
