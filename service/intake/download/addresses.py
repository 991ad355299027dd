"""Decides which IP addresses the server may connect to on behalf of a caller.

`is_global` of the standard library is not sufficient: several versions report internal addresses as global. The list
here contains IANA's special-purpose registries (iana.org/assignments/iana-ipv4-special-registry and
iana-ipv6-special-registry), multicast, and the former site-local network.

An IPv6 address that embeds an IPv4 address (mapped, NAT64, 6to4, ISATAP) is judged by the embedded address. Teredo,
IPv4-compatible and IPv4-translated addresses, and NAT64 for local use, are all forbidden.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORBIDDEN = tuple(
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32",
        "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
# IPv6 networks that embed an IPv4 address, and the distance in bits of that address from the right end.
_EMBEDDING = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (("::ffff:0:0/96", 0), ("64:ff9b::/96", 0), ("2002::/16", 80))
)
# ISATAP embeds one in the last 32 bits of any network, after 0000:5efe or 0200:5efe.
_ISATAP, _ISATAP_MASK = 0x5EFE, 0xFFFFFFFF & ~0x02000000


def is_forbidden(address: Address, exempt: Sequence[Network] = ()) -> bool:
    """Whether callers must not send the server to an address. `exempt`: networks that the operator has allowed."""
    if is_exempt(address, exempt):
        return False
    if any(is_forbidden(inner, exempt) for inner in embedded(address)):
        return True
    return any(address in network for network in _FORBIDDEN)


def is_exempt(address: Address, exempt: Sequence[Network]) -> bool:
    """Whether the operator has allowed the address although it is not public."""
    return any(address in network for network in exempt)


def embedded(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses to which packets to this address may be forwarded."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    number = int(address)
    shifts = [shift for network, shift in _EMBEDDING if address in network]
    if (number >> 32) & _ISATAP_MASK == _ISATAP:
        shifts.append(0)
    return [ipaddress.IPv4Address((number >> shift) & 0xFFFFFFFF) for shift in shifts]
