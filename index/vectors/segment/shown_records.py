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
        """erasures: how often slots were erased."""
        self.bytes, self.erasures, self._most_bytes = 0, 0, most_bytes
        self._kept: OrderedDict[tuple[Key, Show], tuple[int, bytes]] = OrderedDict()
        self._of_slot: dict[int, set[tuple[Key, Show]]] = {}
        self._lock = threading.Lock()

    def find(self, keys: Iterable[Key], show: Show) -> list[tuple[int, bytes] | None]:
        """Slot and content for each key; None where nothing is kept."""
        kept = self._kept
        return [kept.get((key, show)) for key in keys]

    def keep(self, show: Show, made: Iterable[tuple[Key, int, bytes]], erasures: int) -> None:
        """Keeps what `show` made: key, slot and content. erasures: before the records were read; nothing is kept if
        there was another since, which may have been of these records."""
        with self._lock:
            if erasures != self.erasures:
                return
            for key, slot, content in made:
                self._drop((key, show))
                self._kept[key, show] = slot, content
                self._of_slot.setdefault(slot, set()).add((key, show))
                self.bytes += len(content) + _ENTRY_BYTES
            while self.bytes > self._most_bytes:
                self._drop(next(iter(self._kept)))

    def erase(self, slots: Iterable[int]) -> None:
        """Drops what is kept of slots. Call it once their records cannot be read any more."""
        with self._lock:
            self.erasures += 1
            for slot in slots:
                for key in list(self._of_slot.get(slot, ())):
                    self._drop(key)

    def _drop(self, key: tuple[Key, Show]) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        slot, content = kept
        self.bytes -= len(content) + _ENTRY_BYTES
        keys = self._of_slot[slot]
        keys.remove(key)
        if not keys:
            del self._of_slot[slot]
