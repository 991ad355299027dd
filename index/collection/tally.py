"""Counts the searches of a collection by day and score. Nothing of a query is kept, only that there was one.

The counts are in memory and are written every few minutes, and when the collection is closed: a search writes nothing.
A kill loses the counts since the last write.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from index.contract import RecordStore
from index.types.errors import AfterimageIndexError

TALLY_BINS = 20  # of the scores from 0 to 1
TALLY_DAYS = 90  # that are kept
_LOG = logging.getLogger(__name__)
_NAME = "searches"
_WRITE_EVERY_S = 300.0
_NO_HIT = 0  # place of the searches without a hit; the bins follow


class SearchDay(NamedTuple):
    """The searches of one day. day: days since 1970-01-01, UTC. without_hit: searches that found nothing. best: the
    other searches by the bin of their best score, TALLY_BINS counts."""

    day: int
    without_hit: int
    best: tuple[int, ...]


class SearchTally(NamedTuple):
    """enabled: whether searches are counted. days: those with searches, in order; at most TALLY_DAYS."""

    enabled: bool
    days: tuple[SearchDay, ...]


class SearchCounter:
    """Of one collection in memory. Any number of threads may call any method at once."""

    def __init__(self, store: RecordStore, elapsed_s: Callable[[], float] = time.monotonic) -> None:
        """Reads the counts. Raises StoreUnavailable or StoreDamaged."""
        self._store, self._elapsed_s = store, elapsed_s
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._enabled, self._counts = _read(store.learnt(_NAME))
        self._changed, self._written_at = False, elapsed_s()

    def add(self, day: int, bin_number: int | None) -> None:
        """Counts a search. bin_number: of its best score, 0 to TALLY_BINS - 1; None: it has no hit."""
        with self._lock:
            if not self._enabled:
                return
            if day not in self._counts:
                self._counts[day] = [0] * (1 + TALLY_BINS)
                for old in sorted(self._counts)[:-TALLY_DAYS]:
                    del self._counts[old]
            if (counts := self._counts.get(day)) is not None:
                counts[_NO_HIT if bin_number is None else 1 + bin_number] += 1
                self._changed = True

    def add_many(self, counted: Mapping[tuple[int, int | None], int]) -> None:
        """Counts the searches of another process, by day and bin."""
        for (day, bin_number), times in counted.items():
            for _ in range(times):
                self.add(day, bin_number)

    def seen(self) -> SearchTally:
        """The counts of all days, up to the last search."""
        with self._lock:
            days = [SearchDay(d, c[_NO_HIT], tuple(c[1:])) for d, c in sorted(self._counts.items())]
            return SearchTally(self._enabled, tuple(days))

    def enable(self, enabled: bool) -> None:
        """Starts or stops counting, durably. Stopping deletes all counts. Raises StoreUnavailable."""
        with self._writing:
            with self._lock:
                before = self._enabled, self._counts
                self._enabled, self._counts = enabled, self._counts if enabled else {}
            try:
                self._write()
            except AfterimageIndexError:
                with self._lock:
                    self._enabled, self._counts = before
                raise

    def save(self, *, now: bool = False) -> None:
        """Writes the counts if they changed and the last write is minutes ago, or `now`. A failure is logged, and the
        next call tries again."""
        if not self._changed or not (now or self._elapsed_s() - self._written_at >= _WRITE_EVERY_S):
            return
        with self._writing:
            try:
                self._write()
            except AfterimageIndexError as error:
                _LOG.warning("could not write the counts of searches; retrying: %s", error)

    def _write(self) -> None:
        with self._lock:
            content = {"enabled": self._enabled, "days": self._counts}
            value = json.dumps(content, separators=(",", ":")).encode()
            self._changed, self._written_at = False, self._elapsed_s()
        try:
            self._store.note_learnt(_NAME, value)
        except AfterimageIndexError:
            self._changed = True
            raise


def _read(value: bytes) -> tuple[bool, dict[int, list[int]]]:
    """What was written. Counts that cannot be read, as a later version may write them, begin anew."""
    if not value:
        return True, {}
    try:
        content = json.loads(value)
        counts = {int(day): [int(count) for count in row] for day, row in content["days"].items()}
        if any(len(row) != 1 + TALLY_BINS for row in counts.values()):
            raise ValueError("another number of bins")
        return bool(content["enabled"]), counts
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _LOG.warning("the counts of searches cannot be read and begin anew: %s", error)
        return True, {}
