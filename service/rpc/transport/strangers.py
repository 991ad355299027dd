"""Limits the connections of the gRPC port on which no key was used.

gRPC only limits all connections together. So whoever opens that many shuts everybody else out, without a key and
without a call. gRPC does not report connections either, so the open sockets are looked through every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable

from service.calls.limits.failures import address_of
from service.calls.limits.keyless import KeylessCalls
from service.metrics import Metrics
from service.rpc.transport.connections import close_connections, connected_peers

_EVERY_S = 2.0
_LOG = logging.getLogger(__name__)


class Strangers:
    """Closes connections without a key that come too often or are too many. For one event loop."""

    def __init__(self, keyless: KeylessCalls, most_connections: int, metrics: Metrics) -> None:
        """`most_connections`: of the port; connections without a key may be half of them."""
        self._keyless, self._most, self._metrics = keyless, max(1, most_connections // 2), metrics
        self._seen: dict[str, bool] = {}  # whether a valid key was used on it; the oldest connection first

    async def watch(self, port: int) -> None:
        """Looks every two seconds, until it is cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._look(port)
            except OSError as error:  # such as no descriptor that is free
                _LOG.warning("could not look at the open connections: %s", error)

    async def _look(self, port: int) -> None:
        unwanted = self.unwanted(await asyncio.to_thread(connected_peers, port))
        if unwanted:
            self._metrics.connections_closed.inc(await asyncio.to_thread(close_connections, unwanted))

    def unwanted(self, peers: Iterable[str]) -> set[str]:
        """Returns which of the connections that are open now are to be closed. `peers`: in gRPC's notation."""
        open_now = dict.fromkeys(peers)
        self._seen = {peer: known for peer, known in self._seen.items() if peer in open_now}
        refused = {peer for peer in open_now if peer not in self._seen and not self._keyless.admit_connection(peer)}
        self._seen |= {peer: False for peer in open_now if peer not in self._seen}
        for peer, known in self._seen.items():
            if not known and self._keyless.knows(peer):
                self._seen[peer] = True
        strangers = [peer for peer, known in self._seen.items() if not known and peer not in refused]
        return refused | set(_beyond(strangers, self._most))


def _beyond(strangers: list[str], most: int) -> list[str]:
    """Returns the connections that go where there may be `most`: of the addresses with most, the oldest first."""
    if len(strangers) <= most:
        return []
    newer, places = Counter[str](), list[tuple[int, str]]()
    for peer in reversed(strangers):
        address = address_of(peer)
        places.append((newer[address], peer))
        newer[address] += 1
    return [peer for _, peer in sorted(places, key=lambda place: place[0])[most:]]
