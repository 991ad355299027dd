"""Checks histories of one record: a register with writes, writes that refuse what exists, deletions and reads.

Is there an order of all operations in which each has the outcome that its client was told? Each operation takes effect
at one moment between its beginning (of a read: its beginning less its slack) and its end. On the same server an
operation comes after all that ended before it began, whatever its slack: reads see what the server has acknowledged,
and never go back. Without slack this is linearizability. The search is that of Wing and Gong with the states that Lowe
remembers.

No package for Python does this; those of other languages need their own runtimes, and know no slack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.support.histories.operations import FOR_EVER, Kind, Operation, Told

_IMPOSSIBLE = object()
MOST_STATES = 400_000


class TooManyStates(Exception):
    """The history has too many writes at once to be checked."""


def explained(operations: Sequence[Operation]) -> bool:
    """Whether a correct service could have given these answers, from a record that does not exist."""
    ordered = sorted(_settled(operations), key=lambda o: o.earliest)
    return _Search(ordered).succeeds()


def acknowledged_lost(operations: Sequence[Operation], last: Sequence[Operation]) -> bool:
    """Whether the last reads cannot be explained even if no other read is looked at."""
    return not explained([*(o for o in operations if o.kind is not Kind.READ), *last])


def _settled(operations: Sequence[Operation]) -> list[Operation]:
    """Writes of an unknown outcome that a read saw have happened before the end of the first such read."""
    seen: dict[int | None, float] = {}
    for one in operations:
        if one.kind is Kind.READ:
            seen[one.value] = min(seen.get(one.value, FOR_EVER), one.ended)
    return [
        replace(one, ended=seen[one.value]) if one.told is Told.UNKNOWN and one.value in seen and one.value is not None
        else one for one in operations
    ]  # fmt: skip


def _after(one: Operation, state: int | None) -> object:
    """The state after an operation, or _IMPOSSIBLE where its client was told something else than this state gives."""
    exists = state is not None
    match one.kind:
        case Kind.READ:
            return state if state == one.value else _IMPOSSIBLE
        case Kind.DELETE:
            possible = one.told is Told.UNKNOWN or exists == (one.told is Told.DELETED)
            return None if possible else _IMPOSSIBLE
        case Kind.WRITE:
            possible = one.told is Told.UNKNOWN or exists == (one.told is Told.UPDATED)
            return one.value if possible else _IMPOSSIBLE
    if one.told is Told.EXISTS:
        return state if exists else _IMPOSSIBLE
    return _IMPOSSIBLE if exists else one.value


class _Search:
    """operations: in order of the moment from which on they may take effect."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._before = [self._predecessors(one) for one in operations]
        optional = (n for n, one in enumerate(operations) if one.ended == FOR_EVER)
        self._needed = ((1 << len(operations)) - 1) & ~sum(1 << n for n in optional)

    def succeeds(self) -> bool:
        start = self._with_reads(0, None)
        seen, waiting = {start}, [start]
        while waiting:
            done, state = waiting.pop()
            if done & self._needed == self._needed:
                return True
            for number in self._chosen(done, state):
                after = _after(self._operations[number], state)
                if after is not _IMPOSSIBLE:
                    following = self._with_reads(done | 1 << number, after)  # type: ignore[arg-type]
                    if following not in seen:
                        seen.add(following)
                        waiting.append(following)
            if len(seen) > MOST_STATES:
                raise TooManyStates
        return False

    def _with_reads(self, done: int, state: int | None) -> tuple[int, int | None]:
        """With all operations that change nothing in this state and may come now: that never rules anything out."""
        again = True
        while again:
            again = False
            for number in self._possible(done):
                one = self._operations[number]
                unchanged = one.kind is Kind.READ or one.told in (Told.EXISTS, Told.MISSING)
                if unchanged and _after(one, state) == state:
                    done |= 1 << number
                    again = True
        return done, state

    def _chosen(self, done: int, state: int | None) -> list[int]:
        """Those that are worth trying next. Of what need not have happened, that is what makes a record appear that
        nobody reads, or disappear; and it is the same which of several does so."""
        found, spare = [], False
        for number in self._possible(done):
            one = self._operations[number]
            if self._needed >> number & 1:
                found.append(number)
            elif not spare and (one.kind is Kind.DELETE) == (state is not None):
                found.append(number)
                spare = True
        return found

    def _possible(self, done: int) -> list[int]:
        """Operations that may come next."""
        found, first_end = [], FOR_EVER
        for number in range((~done & (done + 1)).bit_length() - 1, len(self._operations)):
            if done >> number & 1:
                continue
            one = self._operations[number]
            if one.earliest > first_end:
                break
            first_end = min(first_end, one.ended)
            if not self._before[number] & ~done:
                found.append(number)
        return found

    def _predecessors(self, one: Operation) -> int:
        found = 0
        for number, other in enumerate(self._operations):
            known = other.server == one.server and other.told is not Told.UNKNOWN
            if other.ended < one.earliest or (known and other.ended < one.began):
                found |= 1 << number
        return found
