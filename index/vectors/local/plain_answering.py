"""Answers to plain searches: a vector, how many hits, and what they show. They are what `Answering.search` gives.

Most searches are plain, and what surrounds the graph takes longer there than the graph. So nothing is prepared that
such a search has no use for, and several are answered with one look into the graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.types.answer import SearchAnswer, ShownHit
from index.types.query import ScanStrategy, SearchQuery
from index.vectors.local.answering import Answering
from index.vectors.query.recall import RecallCheck
from index.vectors.query.together import Looked, Near, nearest_together
from index.vectors.segment.view import View

_FIRST, _END = SearchQuery._fields.index("offset"), SearchQuery._fields.index("weights")
_NOTHING_SET = SearchQuery(np.zeros(0, np.float32), 1)[_FIRST:_END]


def is_plain(query: SearchQuery) -> bool:
    """Whether a vector, `k`, `max_bytes` and `show` are all that is set."""
    return (
        query.show is not None and query.weights is None and query.unweighted is None
        and query[_FIRST:_END] == _NOTHING_SET
    )  # fmt: skip


def answered_together(
    answering: Answering, view: View, queries: Sequence[SearchQuery], check: RecallCheck
) -> list[SearchAnswer | Looked | None]:
    """The answers to plain searches with one `k` and one `show`; of each that takes more than a look into the graph
    what was seen there, or None. The vectors have length 1."""
    if not queries or check.wants_sample:  # which needs the search as the index knows it
        return [None] * len(queries)
    k, show, max_bytes = queries[0].k, queries[0].show, queries[0].max_bytes
    allowed = answering.allowed(view, "")
    if show is None or k * view.payloads.largest > max_bytes:
        return [None] * len(queries)
    vectors = queries[0].vector.reshape(1, -1) if len(queries) == 1 else np.stack([query.vector for query in queries])
    compared, learned = vectors, view.transform is not None
    if view.transform is not None:
        compared = np.stack([view.transform.query(vector, own_record=False) for vector in vectors])
    found = nearest_together(allowed, vectors, compared, k, check.ef_factor)
    count, hints, answers = allowed.count, allowed.hints, list[SearchAnswer | Looked | None]()
    for query, near in zip(queries, found, strict=True):
        if not isinstance(near, Near):
            answers.append(near)
            continue
        answering.queries.add(query.vector)
        slots, distances = near
        told = tuple(map(ShownHit, answering.showing.at(view, slots, show), distances))
        answers.append(
            SearchAnswer(
                (), count, ScanStrategy.GRAPH, view.sequence, view.index_time_ms, (), learned, hints, (), 0, 0.0, told
            )
        )
    return answers
