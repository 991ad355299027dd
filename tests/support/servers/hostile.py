"""A client that follows HTTP/2 and nothing else: it holds calls open, sends no messages, or reads no answers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import psutil
from google.rpc import error_details_pb2, status_pb2

from service.rpc.status import DETAILS_KEY

WATCH, CHECK = "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/Check"
IMPORT = "/afterimage.v1.RecordService/ImportRecords"
LIST = "/afterimage.v1.RecordService/ListRecords"
COUNT = "/afterimage.v1.RecordService/CountRecords"
INFO = "/afterimage.v1.ServerInfoService/GetServerInfo"
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
    ("grpc.enable_retries", 0),
]


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    """The header with a key; none without a key."""
    return (("authorization", f"Bearer {key}"),) if key else ()


@contextlib.asynccontextmanager
async def connections(target: str, count: int, *options: tuple[str, Any]) -> AsyncIterator[list[grpc.aio.Channel]]:
    """The given number of separate connections."""
    channels = [grpc.aio.insecure_channel(target, options=[*OPTIONS, *options]) for _ in range(count)]
    try:
        yield channels
    finally:
        for channel in channels:
            await channel.close(None)


def hold(channels: Sequence[grpc.aio.Channel], path: str, count: int, key: str = "") -> list[Any]:
    """Calls that send headers and no message, distributed over the connections."""
    kind = "stream_stream" if path in (WATCH, IMPORT) else "stream_unary"
    return [getattr(channels[n % len(channels)], kind)(path)(metadata=bearer(key)) for n in range(count)]


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, float]:
    """How a call ended: code, reason, and requested delay in seconds."""
    code, reason, delay = await call.code(), "", 0.0
    details = dict(await call.trailing_metadata()).get(DETAILS_KEY, b"")
    for detail in status_pb2.Status.FromString(details).details:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        if detail.Unpack(retry):
            delay = retry.retry_delay.ToMilliseconds() / 1000
    return code, reason, delay


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    return int(psutil.Process(pid).memory_info().rss)
