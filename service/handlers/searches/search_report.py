"""Searches that are counted by day and by how good their best hit was, so that an owner sees what is not found."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import date, timedelta

from index import TALLY_BINS, AfterimageIndexError, Collection, SearchAnswer, SearchQuery, StoreUnavailable
from service.runtime.clock import now_ms
from service.runtime.deadline import remaining_s
from service.tuning.calibration import Scoring

AT_ONCE_S = 0.0003
_DAY_MS = 86_400_000
_FIRST = date(1970, 1, 1)


def search(collection: Collection, query: SearchQuery, counted_by: Scoring | None) -> SearchAnswer:
    """Searches, and counts the search if `counted_by` is given. Later pages and searches among named records are not
    counted. For threads."""
    answer = collection.search(query)
    if counted_by is not None and _counts(query):
        with contextlib.suppress(StoreUnavailable):  # closed meanwhile: the answer is good all the same
            collection.count_search(today(), best_bin(answer, counted_by))
    return answer


def search_at_once(collection: Collection, query: SearchQuery, counted_by: Scoring | None) -> SearchAnswer | None:
    """As `search` where that waits for nothing and takes no longer than a hop to a thread, else None. For the event
    loop."""
    if counted_by is None or not _counts(query):
        return collection.search_at_once(query, AT_ONCE_S)
    return collection.search_at_once(query, AT_ONCE_S, lambda answer: (today(), best_bin(answer, counted_by)))


def search_together(
    collection: Collection, queries: Sequence[SearchQuery], counted_by: Scoring
) -> list[SearchAnswer | None]:
    """As `search` for each query, in the time that all together take; None in the place of an error. Raises
    TimeoutError once the call has no time left. For threads."""
    try:
        answers = collection.search_together(queries, lambda a: (today(), best_bin(a, counted_by)), _check_time)
    except AfterimageIndexError:
        return [None] * len(queries)
    for place, query in enumerate(queries):
        if answers[place] is None:
            _check_time()
            with contextlib.suppress(AfterimageIndexError):
                answers[place] = search(collection, query, counted_by)
    return answers


def _check_time() -> None:
    if remaining_s() <= 0:
        raise TimeoutError


def _counts(query: SearchQuery) -> bool:
    return not query.offset and query.only_record_ids is None


def best_bin(answer: SearchAnswer, score: Scoring) -> int | None:
    """The bin of the best score among the hits, 0 to TALLY_BINS - 1; None without a hit."""
    distances = [d for _, d in answer.shown] or [hit.distance for group in answer.groups for hit in group]
    if not distances:
        return None
    return min(int(score.score(min(distances)) * TALLY_BINS), TALLY_BINS - 1)


def today() -> int:
    """Days since 1970-01-01, UTC."""
    return now_ms() // _DAY_MS


def date_of(day: int) -> str:
    """A day as YYYY-MM-DD."""
    return (_FIRST + timedelta(days=day)).isoformat()
