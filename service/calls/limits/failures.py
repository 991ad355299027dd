"""Failed authentications, counted by address."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from urllib.parse import unquote

from service.runtime.clock import SYSTEM_CLOCK, Clock

_AT_ONCE_S = 30.0  # so many seconds' worth may come at once
_MOST_ADDRESSES = 10_000


def address_of(peer: str) -> str:
    """Returns the address in gRPC's notation of a peer, such as `ipv4:192.0.2.1:4711`; for IPv6 its /64 network."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return kind
    host = unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return rest
    if isinstance(address, ipaddress.IPv4Address):
        return host
    return str(ipaddress.ip_network((address, 64), strict=False).network_address)


class AuthenticationFailures:
    """Counts failures. For one event loop."""

    def __init__(self, per_second: float, clock: Clock = SYSTEM_CLOCK) -> None:
        """`per_second`: maximum rate of one address, with a burst of 30 times as many; 0: no limit."""
        self._clock = clock
        self._interval_s = 1.0 / per_second if per_second else 0.0
        self._due: OrderedDict[str, float] = OrderedDict()

    def note(self, peer: str) -> float:
        """Counts a failure. Returns 0 within the limit, else the seconds that the address should wait."""
        if not self._interval_s:
            return 0.0
        address, now = address_of(peer), self._clock.elapsed_s()
        due = max(self._due.pop(address, now), now)
        wait = due - now - _AT_ONCE_S
        self._due[address] = due if wait > 0 else due + self._interval_s
        if len(self._due) > _MOST_ADDRESSES:
            self._due.popitem(last=False)
        return max(wait, 0.0)
