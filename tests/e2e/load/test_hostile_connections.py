"""Clients that speak HTTP/2 by themselves: connections without calls, and messages that become far larger."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from afterimage.client import Client
from tests.support.servers.hostile import CHECK, COUNT, INFO, bearer, resident_bytes
from tests.support.servers.server import Server, share, start_server

MOST, PATIENCE_S = 60, 60.0
MIB = 1 << 20
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # and empty SETTINGS


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for few connections."""
    environment = {"AFTERIMAGE_MAX_CONNECTIONS": str(MOST)}
    running = share(start_server(tmp_path_factory.mktemp("narrow"), environment=environment))
    yield running
    assert running.stop() == 0


@contextlib.contextmanager
def idle_connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Connections of HTTP/2 without any call."""
    host, _, port = server.target.rpartition(":")
    opened: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            with contextlib.suppress(OSError):  # it may be closed at once
                connection.sendall(GREETING)
            opened.append(connection)
        yield opened


def answered(server: Server, key: str) -> bool:
    """Whether a new connection is served, however often it has to come until the server has room."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with grpc.insecure_channel(server.target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                channel.unary_unary(INFO, request_serializer=bytes, response_deserializer=bytes)(
                    b"", metadata=bearer(key), timeout=10
                )
            except grpc.RpcError:
                threading.Event().wait(0.2)
            else:
                return True
    return False


def test_whoever_opens_connections_and_makes_no_call_leaves_room_for_others(narrow: Server) -> None:
    key = narrow.key("good")
    with narrow.client(key) as early:
        early.create_collection("own")
        with idle_connections(narrow, 2 * MOST):
            assert answered(narrow, key)
            assert early.count_records("own") == 0  # it has used its key, and is left alone


@pytest.mark.parametrize("path", [CHECK, COUNT])
def test_a_compressed_message_that_becomes_too_large_is_refused_and_takes_no_memory(
    server: Server, client: Client, path: str
) -> None:
    headers = bearer(client._endpoint.api_key) if path == COUNT else ()
    before = resident_bytes(server.process.pid)
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.target, options=options) as channel:
        call = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as refused:
            call(bytes(128 * MIB), compression=grpc.Compression.Gzip, metadata=headers, timeout=PATIENCE_S)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert resident_bytes(server.process.pid) - before < 100 * MIB
