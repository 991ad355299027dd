"""Limits calls without a valid key, per connection and per address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from service.calls.limits.failures import AuthenticationFailures, address_of
from service.runtime.clock import SYSTEM_CLOCK, Clock

_FREE_AT_ONCE = 2  # per connection, and one more per second: an occasional check is always answered
_ADDRESS_PER_S = 20.0  # beyond the free ones; the burst is thirty times as large
_CONNECTIONS_PER_S = 20.0  # of an address without a valid key, with the same burst
_BLOCKS_PER_S = 8.0  # of bodies that are read though their calls were refused, with the same burst
_TRUSTED_S = 60.0
_MOST_CONNECTIONS = _MOST_ADDRESSES = 10_000


class _Connection:
    __slots__ = ("due", "trusted_until")

    def __init__(self, now: float) -> None:
        self.due, self.trusted_until = now, 0.0


class KeylessCalls:
    """Counts calls without a valid key. For one event loop.

    A connection that makes too many is closed, which ends all its calls at once. Refusing them one by one would cost a
    quarter of a millisecond each.
    """

    def __init__(
        self, close: Callable[[str], object], clock: Clock = SYSTEM_CLOCK,
        refused: Callable[[str], object] = lambda peer: None,
    ) -> None:  # fmt: skip
        """`close`: closes the connection of a peer, given in gRPC's notation. `refused`: is told each peer whose
        connection is closed or not accepted while its address has used no valid key within a minute."""
        self._close, self._clock, self._refused = close, clock, refused
        self._addresses = AuthenticationFailures(_ADDRESS_PER_S, clock)
        self._new = AuthenticationFailures(_CONNECTIONS_PER_S, clock)
        self._blocks = AuthenticationFailures(_BLOCKS_PER_S, clock)
        self._known: OrderedDict[str, float] = OrderedDict()
        self._connections: OrderedDict[str, _Connection] = OrderedDict()

    def admit(self, peer: str) -> bool:
        """Counts a call without a valid key. Returns whether to answer it.

        If not, the connection is closed, unless a valid key was used on it recently, as happens behind a proxy.
        """
        now, new = self._clock.elapsed_s(), peer not in self._connections
        if new and not self.admit_connection(peer):
            self._close(peer)
            return False
        connection = self._connection(peer)
        connection.due = max(connection.due, now)
        if connection.due - now < _FREE_AT_ONCE:
            connection.due += 1.0
            return True
        if not self._addresses.note(peer):
            return True
        if connection.trusted_until < now:
            self._close(peer)
            if not self._is_known(peer):
                self._refused(peer)
        return False

    def admit_connection(self, peer: str) -> bool:
        """Counts a new connection, unless its address used a valid key recently. Returns whether to accept it.

        Each connection may make a few calls without a key, so that a client could make a new one for each call. gRPC
        reports no connection before its first call, which `admit` counts as one.
        """
        if not self._is_known(peer) and self._new.note(peer):
            self._refused(peer)
            return False
        self._connection(peer)
        return True

    def admit_block(self, peer: str) -> bool:
        """Counts a block of 256 KiB of the body of a call that was refused, which is read so that the client sees the
        response. Returns whether to read it: an address that sends such bodies all the time does not see it."""
        return self._is_known(peer) or not self._blocks.note(peer)

    def note_valid_key(self, peer: str) -> None:
        """Records that a call of a connection had a valid key, or opened a valid link."""
        until, connection = self._clock.elapsed_s() + _TRUSTED_S, self._connection(peer)
        if connection.trusted_until > until - _TRUSTED_S / 6:
            return
        connection.trusted_until, address = until, address_of(peer)
        self._known.pop(address, None)
        self._known[address] = until
        if len(self._known) > _MOST_ADDRESSES:
            self._known.popitem(last=False)

    def knows(self, peer: str) -> bool:
        """Returns whether a call of a connection had a valid key within the last minute."""
        found = self._connections.get(peer)
        return found is not None and found.trusted_until > self._clock.elapsed_s()

    def _is_known(self, peer: str) -> bool:
        """Whether a valid key was used from the address of a peer within the last minute."""
        return self._known.get(address_of(peer), 0.0) > self._clock.elapsed_s()

    def _connection(self, peer: str) -> _Connection:
        found = self._connections.pop(peer, None) or _Connection(self._clock.elapsed_s())
        self._connections[peer] = found
        if len(self._connections) > _MOST_CONNECTIONS:
            self._connections.popitem(last=False)
        return found
