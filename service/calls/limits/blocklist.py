"""Addresses whose connections are refused again and again: they are blocked for a while."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence

from service.calls.limits.failures import address_of
from service.runtime.clock import SYSTEM_CLOCK, Clock
from service.runtime.source_filter import MOST_NETWORKS, Network

Block = Callable[[Collection[Network]], object]
Later = Callable[[float, Callable[[], object]], object]

_REFUSALS = 20  # within _WITHIN_S: whoever is refused so often opens new connections by a program
_WITHIN_S = 10.0
_APPLIED_AFTER_S = 0.5  # all changes of this time at once: a change takes two microseconds per open file
_MOST_COUNTED = 10_000


class Blocklist:
    """For one event loop."""

    def __init__(
        self, block: Block, seconds: float, spared: Sequence[str] = (), *, later: Later | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:  # fmt: skip
        """`block`: is given all blocked networks whenever they change: IPv4 addresses and IPv6 networks of /64.
        `seconds`: duration of a block; 0: nothing is blocked. `spared`: networks that are never blocked, CIDR.
        `later`: calls a function after so many seconds; the event loop's `call_later` by default.
        """
        self._block, self._seconds, self._clock = block, seconds, clock
        self._spared = [ipaddress.ip_network(network) for network in spared]
        self._later = later or (lambda delay, function: asyncio.get_running_loop().call_later(delay, function))
        self._refused: OrderedDict[str, tuple[float, int]] = OrderedDict()  # by address: since when, how often
        self._blocked: dict[Network, None] = {}
        self._pending = False

    def note(self, peer: str) -> None:
        """Counts a refused connection or call of a peer that has shown no valid key, and blocks its address if there
        are too many."""
        if not self._seconds:
            return
        address, now = address_of(peer), self._clock.elapsed_s()
        since, times = self._refused.pop(address, (now, 0))
        if now - since > _WITHIN_S:
            since, times = now, 0
        if times + 1 < _REFUSALS:
            self._refused[address] = since, times + 1
            if len(self._refused) > _MOST_COUNTED:
                self._refused.popitem(last=False)
            return
        network = self._network(address)
        if network is not None and network not in self._blocked and len(self._blocked) < MOST_NETWORKS:
            self._blocked[network] = None
            self._apply_soon()
            self._later(self._seconds, lambda: self._unblock(network))

    def _unblock(self, network: Network) -> None:
        del self._blocked[network]
        self._apply_soon()

    def _apply_soon(self) -> None:
        if not self._pending:
            self._pending = True
            self._later(_APPLIED_AFTER_S, self._apply)

    def _apply(self) -> None:
        self._pending = False
        self._block(tuple(self._blocked))

    def _network(self, address: str) -> Network | None:
        """Returns the network to block; None if the peer has no address, or is spared."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return None
        if any(found in network for network in self._spared):
            return None
        return ipaddress.ip_network((found, 32 if found.version == 4 else 64), strict=False)
