"""Closes a connection. gRPC has no API for this on the server side.

The socket is found among the open files of this process by the peer's address and port, and shut down. gRPC handles
that as a disconnect and ends the connection's calls. The peer check and the shutdown use the same duplicate of the
descriptor. So no other file is affected if gRPC closes and reuses the descriptor meanwhile.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from urllib.parse import unquote

from service.runtime.open_sockets import internet_sockets


def close_connection(peer: str) -> bool:
    """Closes the connection of a peer, such as `ipv4:192.0.2.1:4711`; returns whether there was one. Takes about two
    microseconds per open file."""
    wanted = _endpoint(peer)
    if wanted is None:
        return False
    for connection in internet_sockets():
        with contextlib.suppress(OSError):
            host, port = connection.getpeername()[:2]
            if port == wanted[1] and _address(host) == wanted[0]:
                connection.shutdown(socket.SHUT_RDWR)
                return True
    return False


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
