"""What answers show of records, as bytes that a caller makes of them, kept for the next answer that shows them.

To read a record and write it into an answer takes several times as long as to copy bytes. A slot is used once, so the
bytes stay right while the slot lives, whatever is written beside it. They go when it is erased, and the earliest ones
where all take too much memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from index.types.record import Show

MOST_BYTES = 4 << 20  # of one collection
_ENTRY_BYTES = 300  # that one takes beside its content
Key = int | str  # a slot, or the id of a record


class ShownRecords:
    """Of the slots of one `Payloads`. Any number of threads may call any method at once.

    Kept by slot for searches, and by record id for look-ups, who check that the slot is live.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.bytes, self._most_bytes = 0, most_bytes
        self._kept: OrderedDict[tuple[Key, Show], tuple[int, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, keys: Iterable[Key], show: Show) -> list[tuple[int, bytes] | None]:
        """Slot and content for each key; None where nothing is kept."""
        kept = self._kept
        return [kept.get((key, show)) for key in keys]

    def keep(self, show: Show, made: Iterable[tuple[Key, int, bytes]]) -> None:
        """Keeps what `show` made: key, slot and content."""
        with self._lock:
            for key, slot, content in made:
                self._drop((key, show))
                self._kept[key, show] = slot, content
                self.bytes += len(content) + _ENTRY_BYTES
            while self.bytes > self._most_bytes:
                self._drop(next(iter(self._kept)))

    def erase(self, slots: Iterable[int]) -> None:
        """Drops what is kept of slots."""
        gone = set(slots)
        with self._lock:
            for key in [key for key, (slot, _) in self._kept.items() if slot in gone]:
                self._drop(key)

    def _drop(self, key: tuple[Key, Show]) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= len(kept[1]) + _ENTRY_BYTES
