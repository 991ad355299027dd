"""Counts of searches by day: how good the best hit of each was."""

from __future__ import annotations

from typing import NamedTuple

TALLY_BINS = 20  # of the scores from 0 to 1
TALLY_DAYS = 90  # that are kept


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
