"""Drops packets of some addresses in the kernel, before they become connections: socket filters on listening sockets.

A refused connection costs this process about a third of a millisecond, and whoever is refused may come again at once.
A dropped packet costs it nothing. The filters are classic BPF programs (Linux, `man 7 socket`, SO_ATTACH_FILTER), which
need no privileges. Elsewhere nothing is dropped.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import socket
import struct
import sys
from collections.abc import Collection

from service.runtime.open_sockets import internet_sockets

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST_NETWORKS = 500  # a program has at most 4,096 instructions, and a network takes up to five
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h; Python has no names for them
_LOAD_HALF, _LOAD, _JUMP, _IF_EQUAL, _RETURN = 0x28, 0x20, 0x05, 0x15, 0x06  # linux/bpf_common.h
_PROTOCOL, _NETWORK_HEADER = 0xFFFFF000, 0xFFF00000  # SKF_AD_OFF + SKF_AD_PROTOCOL, SKF_NET_OFF
_IPV4, _IPV6 = 0x0800, 0x86DD
_IPV4_SOURCE, _IPV6_SOURCE = 12, 8
_DROP, _KEEP = 0, 0xFFFFFFFF

Instruction = tuple[int, int, int, int]  # code, how many to skip if equal, if not, operand


def drop_sources(networks: Collection[Network]) -> int:
    """Drops packets from networks to all listening TCP sockets of this process, instead of those given before.

    Open connections go on. `networks`: single IPv4 addresses, and IPv6 networks of /64; at most MOST_NETWORKS. Returns
    how many sockets have the filter.
    """
    if sys.platform != "linux":
        return 0
    changed = 0
    for listening in internet_sockets():
        with contextlib.suppress(OSError):
            if listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                _set(listening, networks)
                changed += 1
    return changed


def program(networks: Collection[Network]) -> list[Instruction]:
    """Returns a program that keeps each packet but those from `networks`."""
    old = [one for n in networks if n.version == 4 for one in _drop_ipv4(int(n.network_address))]
    new = [one for n in networks if n.version == 6 for one in _drop_ipv6(int(n.network_address) >> 64)]
    ipv4 = [(_LOAD, 0, 0, _NETWORK_HEADER + _IPV4_SOURCE), *old, (_RETURN, 0, 0, _KEEP)]
    ipv6 = [*new, (_RETURN, 0, 0, _KEEP)]
    return [
        (_LOAD_HALF, 0, 0, _PROTOCOL),
        (_IF_EQUAL, 0, 1, _IPV6),
        (_JUMP, 0, 0, 2 + len(ipv4)),  # to the part for IPv6
        (_IF_EQUAL, 1, 0, _IPV4),
        (_RETURN, 0, 0, _KEEP),
        *ipv4,
        *ipv6,
    ]


def _drop_ipv4(address: int) -> list[Instruction]:
    return [(_IF_EQUAL, 0, 1, address), (_RETURN, 0, 0, _DROP)]


def _drop_ipv6(network: int) -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _NETWORK_HEADER + _IPV6_SOURCE),
        (_IF_EQUAL, 0, 3, network >> 32),
        (_LOAD, 0, 0, _NETWORK_HEADER + _IPV6_SOURCE + 4),
        (_IF_EQUAL, 0, 1, network & 0xFFFFFFFF),
        (_RETURN, 0, 0, _DROP),
    ]


def _set(listening: socket.socket, networks: Collection[Network]) -> None:
    if not networks:
        listening.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        return
    instructions = b"".join(struct.pack("=HBBI", *instruction) for instruction in program(networks))
    memory = ctypes.create_string_buffer(instructions, len(instructions))
    described = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(memory))
    listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
