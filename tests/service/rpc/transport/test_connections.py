"""Closing connections of this process by their peers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from service.rpc.transport.connections import close_connection

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=["ipv4", "ipv6", "ipv4 within ipv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A client's end of a connection, and the server's."""
    family = socket.AF_INET if request.param == "ipv4" else socket.AF_INET6
    dual = request.param == "ipv4 within ipv6"
    host = {"ipv4": "127.0.0.1", "ipv6": "::1"}.get(request.param, "::")
    try:
        listener = socket.create_server((host, 0), family=family, dualstack_ipv6=dual)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener, socket.create_connection(("127.0.0.1" if dual else host, listener.getsockname()[1])) as client:
        server, _ = listener.accept()
        with server:
            client.settimeout(10)
            server.settimeout(10)
            yield client, server


def peer_of(client: socket.socket) -> str:
    """As gRPC names it."""
    host, port = client.getsockname()[:2]
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"


def test_the_connection_of_a_peer_is_closed_and_no_other_is(pair: Pair) -> None:
    client, server = pair
    others = socket.socketpair()
    before = len(os.listdir("/proc/self/fd"))
    assert close_connection(peer_of(client))
    assert client.recv(1) == b""
    assert server.recv(1) == b""
    others[0].send(b"x")
    assert others[1].recv(1) == b"x"
    assert len(os.listdir("/proc/self/fd")) == before
    for other in others:
        other.close()


@pytest.mark.parametrize("peer", ["ipv4:192.0.2.1:4711", "unix:/run/a.sock", "unix:", "ipv4:127.0.0.1", ""])
def test_a_peer_that_is_not_connected_is_none_and_nothing_is_closed(pair: Pair, peer: str) -> None:
    client, server = pair
    assert not close_connection(peer)
    client.send(b"x")
    assert server.recv(1) == b"x"
