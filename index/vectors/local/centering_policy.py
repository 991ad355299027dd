"""When a collection looks whether learning helps it, and what follows."""

from __future__ import annotations

import numpy as np

from index.speed.roaring_arrays import members
from index.types.record import Vector
from index.vectors.ann.centering import (
    LEAST_GAIN,
    LEAST_QUERIES,
    LEAST_ROWS,
    SAMPLE,
    CenteringTransform,
    QueryMean,
    gain,
)
from index.vectors.segment.view import View

_GROWTH = 2  # the check is made again when a collection, or what was searched, has grown so many times
_DRIFT = 0.1  # a mean that has moved by more than this is taken over
_BLOCK = 65_536


class CenteringPolicy:
    """Of one collection. Used by one thread at a time, but for `queries`."""

    def __init__(self, queries: QueryMean) -> None:
        self.queries = queries
        self.allowed = True
        self.gain: float | None = None
        self.wanted: CenteringTransform | None = None
        self._looked_at_rows = 0
        self._moved_at_queries = 0

    def changes(self, view: View) -> bool:
        """Whether the rows should be seen from another transform than they are: `wanted`."""
        if not self.allowed:
            self.wanted = None
            return view.transform is not None
        if view.records < LEAST_ROWS or self.queries.count < LEAST_QUERIES:
            return False
        if view.records < _GROWTH * self._looked_at_rows:
            return False
        self._looked_at_rows = view.records
        self.wanted = self._decided(view)
        if view.transform is None or self.wanted is None:
            return view.transform is not self.wanted
        return float(np.linalg.norm(self.wanted.catalogue_mean - view.transform.catalogue_mean)) > _DRIFT

    def moves_queries(self, view: View) -> bool:
        """Whether queries should be centred anew: their mean rests on many more of them than before."""
        if view.transform is None or self.queries.count < max(_GROWTH * self._moved_at_queries, LEAST_QUERIES):
            return False
        self._moved_at_queries = self.queries.count
        return True

    def _decided(self, view: View) -> CenteringTransform | None:
        live = members(view.live)
        sample = np.random.default_rng(view.records).permutation(live)[:SAMPLE]
        self.gain = gain(view.originals(np.sort(sample)))
        if self.gain < (LEAST_GAIN if view.transform is None else 0.0):
            return None
        total = np.zeros(view.float16.shape[1])
        for start in range(0, len(live), _BLOCK):
            total += view.originals(live[start : start + _BLOCK]).sum(0, dtype=np.float64)
        catalogue_mean = (total / len(live)).astype(np.float32)
        return CenteringTransform(catalogue_mean, self.query_mean(catalogue_mean))

    def query_mean(self, catalogue_mean: Vector) -> Vector:
        """The mean that queries are centred by, shape (dimension,)."""
        return self.queries.shrunk(catalogue_mean)
