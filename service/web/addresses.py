"""The address of the other end of a connection."""

from __future__ import annotations

import asyncio
import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_address(text: str) -> Address | None:
    """Returns an address, None if it is none. IPv4-mapped IPv6 addresses become IPv4."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def endpoint(transport: asyncio.BaseTransport | None) -> tuple[Address | None, int]:
    """Returns address and port of the other end; None and 0 if they are not known."""
    name = transport.get_extra_info("peername") if transport is not None else None
    return (read_address(name[0]), int(name[1])) if name else (None, 0)


def peer_name(address: Address | None, port: int) -> str:
    """Returns an endpoint in gRPC's notation: `ipv4:192.0.2.1:4711`."""
    if address is None:
        return "unknown"
    return f"ipv4:{address}:{port}" if address.version == 4 else f"ipv6:[{address}]:{port}"
