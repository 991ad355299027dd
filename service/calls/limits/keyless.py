"""Limits calls without a valid key, per connection and per address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from service.calls.limits.failures import AuthenticationFailures
from service.runtime.clock import SYSTEM_CLOCK, Clock

_FREE_AT_ONCE = 2  # per connection, and one more per second: an occasional check is always answered
_ADDRESS_PER_S = 20.0  # beyond the free ones; the burst is thirty times as large
_TRUSTED_S = 60.0
_MOST_CONNECTIONS = 10_000


class _Connection:
    __slots__ = ("due", "trusted_until")

    def __init__(self, now: float) -> None:
        self.due, self.trusted_until = now, 0.0


class KeylessCalls:
    """Counts calls without a valid key. For one event loop.

    A connection that makes too many is closed, which ends all its calls at once. Refusing them one by one would cost a
    quarter of a millisecond each.
    """

    def __init__(self, close: Callable[[str], object], clock: Clock = SYSTEM_CLOCK) -> None:
        """`close`: closes the connection of a peer, given in gRPC's notation."""
        self._close, self._clock = close, clock
        self._addresses = AuthenticationFailures(_ADDRESS_PER_S, clock)
        self._connections: OrderedDict[str, _Connection] = OrderedDict()

    def admit(self, peer: str) -> bool:
        """Counts a call without a valid key. Returns whether to answer it.

        If not, the connection is closed, unless a valid key was used on it recently, as happens behind a proxy.
        """
        now, connection = self._clock.elapsed_s(), self._connection(peer)
        connection.due = max(connection.due, now)
        if connection.due - now < _FREE_AT_ONCE:
            connection.due += 1.0
            return True
        if not self._addresses.note(peer):
            return True
        if connection.trusted_until < now:
            self._close(peer)
        return False

    def note_valid_key(self, peer: str) -> None:
        """Records that a call of a connection had a valid key."""
        self._connection(peer).trusted_until = self._clock.elapsed_s() + _TRUSTED_S

    def _connection(self, peer: str) -> _Connection:
        found = self._connections.pop(peer, None) or _Connection(self._clock.elapsed_s())
        self._connections[peer] = found
        if len(self._connections) > _MOST_CONNECTIONS:
            self._connections.popitem(last=False)
        return found
