"""Forwards calls to the writer as the bytes that they are: messages, metadata, deadline, cancellation, status."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from service.calls.method import Method
from service.errors import Reason, ServiceError
from service.rpc.calls import Call
from service.rpc.forwarding.sender import Sender, forwarded_metadata
from service.rpc.status import DETAILS_KEY
from service.runtime.background import end_task
from service.runtime.deadline import remaining_s

Context = grpc.aio.ServicerContext[Any, Any]
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),  # a writer that was restarted is used at once
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.default_authority", "writer"),
]
_RETRY_S = 1.0
_NEVER_SENT = "failed to connect"  # in other words of gRPC the outcome is unknown, which is never wrong


class ForwardedAnswer:
    """A response of the writer, serialized."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


class ForwardedError(ServiceError):
    """How the writer ended a call; it is passed on unchanged. `reason` is for this process's own metrics and log."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(_reason_of(error), error.details() or "")
        trailing: Any = error.trailing_metadata() or ()
        self.code, self.trailing = error.code(), _passed_on(trailing)


class WriterChannel:
    """The connection of a query process to the writer. For one event loop."""

    def __init__(self, socket: Path, send_s: float) -> None:
        """`send_s`: seconds in which a peer must take a response."""
        self._channel: Any = grpc.aio.insecure_channel(f"unix:{socket}", options=_OPTIONS)
        self._send_s = send_s

    async def call(self, path: str, raw: bytes, call: Call) -> ForwardedAnswer:
        """Forwards a call of one request, which this process has judged and read. Raises ServiceError."""
        names = () if call.headers.authorizations else call.certificate_names()
        sender = Sender(call.peer, call.headers.request_id, names, judged=True)
        make = self._channel.unary_unary(path)
        left = remaining_s()
        try:
            answer = await make(
                raw, metadata=forwarded_metadata(call.metadata, sender), timeout=left if left < 1e9 else None
            )
        except grpc.aio.AioRpcError as error:
            raise meaning(error) from None
        return ForwardedAnswer(answer)

    async def forward(self, method: Method, context: Context, call: Call, sender: Sender) -> None:
        """Forwards a call that this process has not read, and its status. Its messages pass one by one."""
        make = self._channel.stream_stream(method.path)
        inner = make(metadata=forwarded_metadata(call.metadata, sender), timeout=context.time_remaining())
        sending = asyncio.create_task(_send_requests(context, inner), name="forward requests")
        try:
            while (raw := await inner.read()) is not EOF:
                async with asyncio.timeout(self._send_s):
                    await context.write(raw)
            context.set_trailing_metadata(_passed_on(await inner.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            call.fail(meaning(error, changes=method.changes))
        except TimeoutError:
            call.drop()
        finally:
            inner.cancel()
            await end_task(sending)

    async def ask(self, path: str, raw: bytes, timeout_s: float = 10.0) -> bytes:
        """The answer to an internal call. Raises ServiceError."""
        make = self._channel.unary_unary(path)
        try:
            answer: bytes = await make(raw, timeout=timeout_s)
            return answer
        except grpc.aio.AioRpcError as error:
            raise meaning(error) from None

    async def close(self) -> None:
        """Ends what is under way."""
        await self._channel.close(None)


async def _send_requests(context: Context, inner: Any) -> None:
    """Reads each message only when the writer has room for it: what it refuses is not read."""
    try:
        while (raw := await context.read()) is not EOF:
            await inner.write(raw)
        await inner.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
        return  # the call has ended, and its status is known where responses are read


def meaning(error: grpc.aio.AioRpcError, *, changes: bool = False) -> ServiceError:
    """What a failed call means. A status without details comes from the connection, and not from the writer. changes:
    whether the call was to change something, which may have been done when the connection was lost."""
    trailing: Any = error.trailing_metadata() or ()
    if DETAILS_KEY in dict(trailing):
        return ForwardedError(error)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ServiceError(Reason.DEADLINE, "the deadline passed before the call was done")
    if changes and not (error.details() or "").startswith(_NEVER_SENT):
        message = "the process that writes ended during the call, which may have been done or not"
        return ServiceError(Reason.WRITE_OUTCOME_UNKNOWN, message, retry_delay_s=_RETRY_S)
    message = "the process that writes is not reachable; it is started again within seconds"
    return ServiceError(Reason.STORE_UNAVAILABLE, message, retry_delay_s=_RETRY_S)


def _reason_of(error: grpc.aio.AioRpcError) -> Reason:
    trailing: Any = error.trailing_metadata() or ()
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(dict(trailing)[DETAILS_KEY]).details:
        if detail.Unpack(info) and info.reason in Reason.__members__:
            return Reason[info.reason]
    return Reason.INTERNAL


def _passed_on(trailing: Any) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((name, value) for name, value in trailing or ())
