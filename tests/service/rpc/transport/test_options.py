"""What a peer may send on a stream that the server does not read, seen by a client that knows no more than HTTP/2."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import grpc

from service.rpc.transport.options import UNREAD_BYTES, Transport, channel_options

DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
INITIAL_WINDOW_SIZE, FRAME = 4, 16_384
REQUEST = {
    ":method": "POST", ":scheme": "http", ":path": "/any/Call", ":authority": "localhost", "te": "trailers",
    "content-type": "application/grpc",
}  # fmt: skip


class Unread(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Calls that read nothing until they are let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    def service(self, handler_call_details: object) -> Any:
        async def wait(_: object, context: object) -> bytes:
            await self.let_go.wait()
            return b""

        return grpc.stream_unary_rpc_method_handler(wait, None, None)


class Peer:
    """Sends what the windows of a stream and of its connection allow."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._initial, self._given, self._connection, self.sent = 65_535, 0, 65_535, 0

    def begin(self) -> None:
        self._writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._write(SETTINGS)
        block = b"".join(
            b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
            for name, value in REQUEST.items()
        )
        self._write(HEADERS, block, flags=4, stream=1)

    async def send_all(self) -> None:
        """Sends until the server, asked twice, has given no more room."""
        asked = 0
        while asked < 2:
            before = self.sent
            while (room := min(self._initial + self._given - self.sent, self._connection, FRAME)) > 0:
                self._write(DATA, bytes(room), stream=1)
                self.sent += room
                self._connection -= room
            asked = 0 if self.sent > before else asked + 1
            self._write(PING, b"question")
            await self._writer.drain()
            while not await self._answered():
                pass

    async def _answered(self) -> bool:
        """Reads a frame; whether it answers a question."""
        head = await self._reader.readexactly(9)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
        body = await self._reader.readexactly(int.from_bytes(head[:3]))
        if kind == SETTINGS and not flags:
            said = dict(struct.iter_unpack(">HI", body))
            self._initial = said.get(INITIAL_WINDOW_SIZE, self._initial)
            self._write(SETTINGS, flags=1)
        elif kind == WINDOW_UPDATE and stream:
            self._given += int.from_bytes(body)
        elif kind == WINDOW_UPDATE:
            self._connection += int.from_bytes(body)
        elif kind == PING and not flags:
            self._write(PING, body, flags=1)
        return kind == PING and bool(flags)

    def _write(self, kind: int, body: bytes = b"", *, flags: int = 0, stream: int = 0) -> None:
        self._writer.write(len(body).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + body)


async def test_a_stream_that_is_not_read_takes_no_more_than_its_window_however_fast_it_comes() -> None:
    transport = Transport("127.0.0.1:0", None, 64 << 20, 100, 1.0, False)
    server, calls = grpc.aio.server(options=channel_options(transport)), Unread()
    server.add_generic_rpc_handlers((calls,))
    port = server.add_insecure_port(transport.address)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        peer = Peer(reader, writer)
        peer.begin()
        async with asyncio.timeout(60):
            await peer.send_all()
        assert peer.sent == UNREAD_BYTES
    finally:
        writer.close()
        calls.let_go.set()
        await server.stop(None)
