"""The methods of the API in a query process: some are answered here, all others are forwarded."""

from __future__ import annotations

import contextvars
from collections.abc import Collection
from typing import Any

import grpc

from service.calls.interceptor import Interceptor
from service.calls.method import Method
from service.errors import ServiceError
from service.rpc.calls import Call, Context, Methods, UnaryCall
from service.rpc.forwarding.sender import Sender
from service.rpc.forwarding.writer_channel import ForwardedAnswer, ForwardedError, WriterChannel
from service.runtime.certificates import Certificates

_current: contextvars.ContextVar[Call] = contextvars.ContextVar("call that may be forwarded")


def current_call() -> Call:
    """The call that this process judges. Raises LookupError outside of one."""
    return _current.get()


class QueryMethods(Methods):
    """Each call is judged here first, as everywhere: key, certificate, calls without a key. The writer judges those
    that it is sent again, and counts them."""

    def __init__(
        self, interceptor: Interceptor, certificates: Certificates | None, writer: WriterChannel, local: Collection[str]
    ) -> None:
        """`local`: paths of the methods that the interceptor has handlers of."""
        self._writer, self._local = writer, frozenset(local)
        super().__init__(interceptor, certificates)

    def call_types(self) -> tuple[type[UnaryCall], type[Call]]:
        """Those that forward what their handler decides not to answer."""
        return QueryCall, Call

    def _handler(self, method: Method) -> Any:
        if method.path in self._local:
            return super()._handler(method)

        async def forwarded(_: Any, context: Context) -> None:
            await self._forward(method, context)

        return grpc.stream_stream_rpc_method_handler(forwarded, None, None)

    async def _forward(self, method: Method, context: Context) -> None:
        call, pipeline = QueryCall(self._interceptor, method, context, self._certificates), self._interceptor.pipeline
        pipeline.gate.enter()
        try:
            call.check_certificate()
            names = () if call.headers.authorizations else call.certificate_names()
            await pipeline.admission.admit(method, call.headers, names, call.peer)
        except ServiceError as error:
            self._interceptor.refuse(method, call, error)
        else:
            await self._writer.forward(method, context, call, Sender(call.peer, call.headers.request_id, names))
        finally:
            pipeline.gate.leave()


class QueryCall(UnaryCall):
    """A call of one request that is answered here, or by the writer."""

    def __init__(
        self, interceptor: Interceptor, method: Method, context: Context, certificates: Certificates | None
    ) -> None:
        super().__init__(interceptor, method, context, certificates)
        _current.set(self)

    async def serialize(self, response: Any) -> bytes:
        """Serializes a response, or passes on what the writer has serialized."""
        return response.raw if isinstance(response, ForwardedAnswer) else await super().serialize(response)

    def fail(self, error: ServiceError) -> None:
        """Sets the status; that of the writer unchanged."""
        if not isinstance(error, ForwardedError):
            super().fail(error)
            return
        self._context.set_trailing_metadata(error.trailing)
        self._context.set_code(error.code)
        self._context.set_details(error.message)
