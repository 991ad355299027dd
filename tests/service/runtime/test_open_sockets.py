"""The sockets of this process."""

from __future__ import annotations

import socket

from service.runtime.open_sockets import internet_sockets


def test_tcp_sockets_are_found_and_nothing_else() -> None:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    local, other = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server, datagrams, local, other:
        datagrams.bind(("127.0.0.1", 0))
        ports = {found.getsockname()[1] for found in internet_sockets()}
        assert server.getsockname()[1] in ports
        assert datagrams.getsockname()[1] not in ports
        assert all(found.family != socket.AF_UNIX for found in internet_sockets())


def test_a_duplicate_is_closed_when_the_next_one_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        found = list(internet_sockets())
        assert found
        assert all(one.fileno() == -1 for one in found)
