"""Lists and closes connections. gRPC has no API for this on the server side.

A socket is found among the open files of this process by the peer's address and port, and shut down. gRPC handles
that as a disconnect and ends the connection's calls. The peer check and the shutdown use the same duplicate of the
descriptor. So no other file is affected if gRPC closes and reuses the descriptor meanwhile.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import unquote

from service.runtime.open_sockets import internet_sockets


def close_connection(peer: str) -> bool:
    """Closes the connection of a peer, such as `ipv4:192.0.2.1:4711`; returns whether there was one. Takes about two
    microseconds per open file."""
    return close_connections((peer,)) > 0


def close_connections(peers: Iterable[str]) -> int:
    """Closes the connections of several peers. Returns how many there were."""
    wanted, closed = {_endpoint(peer) for peer in peers} - {None}, 0
    for connection in internet_sockets():
        if closed == len(wanted):
            break
        with contextlib.suppress(OSError):
            host, port = connection.getpeername()[:2]
            if (_address(host), port) in wanted:
                connection.shutdown(socket.SHUT_RDWR)
                closed += 1
    return closed


def connected_peers(port: int) -> list[str]:
    """Returns the peers that are connected to a port of this process, in gRPC's notation, older connections mostly
    first. Takes as long as `close_connection`."""
    found = []
    for connection in internet_sockets():
        with contextlib.suppress(OSError):  # one that listens, or is being closed, has no peer
            host, theirs = connection.getpeername()[:2]
            if connection.getsockname()[1] == port:
                found.append(_peer_name(_address(host), theirs))
    return found[::-1]


def _peer_name(address: str, port: int) -> str:
    return f"ipv6:%5B{address}%5D:{port}" if ":" in address else f"ipv4:{address}:{port}"


def _endpoint(peer: str) -> tuple[str, int] | None:
    """Returns address and port; None if the peer has none."""
    kind, _, rest = peer.partition(":")
    host, _, port = unquote(rest).rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdigit():
        return None
    return _address(host.strip("[]")), int(port)


def _address(host: str) -> str:
    """Returns the canonical form of an address; IPv4-mapped IPv6 addresses become IPv4."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
