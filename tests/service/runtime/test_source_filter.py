"""Packets that the kernel drops before they become connections."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.runtime.source_filter import MOST_NETWORKS, Network, drop_sources, program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket filters are a part of Linux")

Connects = Callable[[str], bool]


@pytest.fixture
def connects() -> Iterator[Connects]:
    """Whether a connection from an address to a listening socket of this process comes about."""
    listening = [socket.create_server(("127.0.0.1", 0)), *_ipv6()]

    def attempt(source: str) -> bool:
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        server = next(one for one in listening if one.family == family)
        with socket.socket(family) as client:
            client.settimeout(0.2)
            client.bind((source, 0))
            try:
                client.connect(server.getsockname()[:2])
            except TimeoutError:
                return False
            return True

    yield attempt
    drop_sources([])
    for server in listening:
        server.close()


def _ipv6() -> list[socket.socket]:
    try:
        return [socket.create_server(("::1", 0), family=socket.AF_INET6)]
    except OSError:
        return []


def networks(*texts: str) -> list[Network]:
    return [ipaddress.ip_network(text) for text in texts]


def test_packets_from_given_addresses_are_dropped_and_from_others_are_not(connects: Connects) -> None:
    assert connects("127.0.0.2")
    assert drop_sources(networks("127.0.0.2/32", "192.0.2.1/32", "2001:db8::/64")) >= 1
    assert not connects("127.0.0.2")
    assert connects("127.0.0.3")
    drop_sources(networks("127.0.0.3/32"))
    assert connects("127.0.0.2")
    assert not connects("127.0.0.3")
    drop_sources([])
    assert connects("127.0.0.3")


@pytest.mark.skipif(not _ipv6(), reason="this machine has no IPv6")
def test_packets_over_ipv6_are_dropped_by_network(connects: Connects) -> None:
    drop_sources(networks("2001:db8::/64", "127.0.0.2/32"))
    assert connects("::1")
    drop_sources(networks("2001:db8::/64", "::/64"))
    assert not connects("::1")
    assert connects("127.0.0.1")


def test_a_full_list_is_accepted_by_the_kernel(connects: Connects) -> None:
    many = [ipaddress.ip_network((0x20010DB8 << 96 | n << 64, 64)) for n in range(MOST_NETWORKS - 1)]
    drop_sources([*many, *networks("127.0.0.2/32")])
    assert not connects("127.0.0.2")
    assert connects("127.0.0.1")


def test_open_connections_go_on(connects: Connects) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname(), source_address=("127.0.0.2", 0))
    accepted, _ = server.accept()
    try:
        drop_sources(networks("127.0.0.2/32"))
        client.sendall(b"a")
        assert accepted.recv(1) == b"a"
    finally:
        for one in (client, accepted, server):
            one.close()


ADDRESSES = st.ip_addresses(v=4).map(lambda a: ipaddress.ip_network((a, 32))) | st.ip_addresses(v=6).map(
    lambda a: ipaddress.ip_network((a, 64), strict=False)
)


@given(blocked=st.lists(ADDRESSES, max_size=40), source=ADDRESSES)
@settings(max_examples=200)
def test_a_program_drops_exactly_what_is_listed(blocked: list[Network], source: Network) -> None:
    for one in (source, *blocked):
        assert (_run(blocked, one) == 0) == (one in blocked)


def _run(blocked: list[Network], source: Network) -> int:
    """Interprets a program on the head of a packet, as `man 4 bpf` says it: what it returns."""
    version, address = source.version, int(source.network_address)
    head = bytes(12) + address.to_bytes(4, "big") if version == 4 else bytes(8) + address.to_bytes(16, "big")
    instructions, at, value = program(blocked), 0, 0
    while True:
        code, equal, other, operand = instructions[at]
        at += 1
        if code == 0x28:
            assert operand == 0xFFFFF000
            value = 0x0800 if version == 4 else 0x86DD
        elif code == 0x20:
            offset = operand - 0xFFF00000
            value = int.from_bytes(head[offset : offset + 4], "big")
        elif code == 0x15:
            at += equal if value == operand else other
        elif code == 0x05:
            at += operand
        else:
            assert code == 0x06
            return operand


def test_a_packet_of_another_protocol_is_kept() -> None:
    instructions = program(networks("192.0.2.1/32"))
    assert instructions[4] == (0x06, 0, 0, 0xFFFFFFFF)
