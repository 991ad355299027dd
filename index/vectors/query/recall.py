"""Does the ANN index find what an exact search finds? A sample of real searches says so.

Every SAMPLE_EVERY_S at most one search that went along the graph or the clusters is kept, for seconds, and compared
with an exact one over the same view. Where too few of the nearest are found, searches spend more at once; where even
that does not help, the ANN index is built anew.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from index.vectors.query.execute import Query
from index.vectors.query.search import nearest
from index.vectors.segment.view import View

SAMPLE_EVERY_S = 2.0
K, KEPT_COMPARISONS, ENOUGH = 10, 64, 16
WANTED, FLOOR = 0.99, 0.95
_STEP, MAX_EF_FACTOR = 1.5, 6.0


@dataclass(frozen=True)
class _Sample:
    query: Query
    found: frozenset[int]
    k: int  # how many were looked for, at most K


class RecallCheck:
    """Of one collection. Any number of threads may call any method at once."""

    def __init__(self, every_s: float = SAMPLE_EVERY_S) -> None:
        self.ef_factor = 1.0
        self._every_s = every_s
        self._next = 0.0
        self._sample: _Sample | None = None
        self._shares: deque[float] = deque(maxlen=KEPT_COMPARISONS)
        self._lock = threading.Lock()

    def sample_every(self, seconds: float) -> None:
        """Changes how many seconds lie between two samples, from now on; `math.inf` takes none."""
        self._every_s, self._next = seconds, time.monotonic() + seconds

    @property
    def wants_sample(self) -> bool:
        """Whether the next search through the ANN index should be offered. Cheap."""
        return self._sample is None and time.monotonic() >= self._next

    def offer(self, query: Query, slots: list[int], k: int = K) -> None:
        """Keeps a search for `k`, and which slots it found first, until `run` compares it."""
        vector, original = query.vector.copy(), query.original.copy()  # they can be the caller's own
        self._sample = _Sample(query._replace(vector=vector, original=original), frozenset(slots[:K]), min(k, K))
        self._next = time.monotonic() + self._every_s

    def run(self, view: View) -> None:
        """Compares the search that waits. An ANN index that was replaced meanwhile is not judged."""
        sample, self._sample = self._sample, None
        if sample is None or view.ann_index is None or sample.query.allowed.view.ann_index is not view.ann_index:
            return
        exact = nearest(sample.query._replace(exact=True, k=sample.k))
        wanted = set(exact.slots.tolist())
        if not wanted:
            return
        with self._lock:
            self._shares.append(len(wanted & sample.found) / len(wanted))
            if len(self._shares) >= ENOUGH and self.measured < WANTED and self.ef_factor < MAX_EF_FACTOR:
                self.ef_factor = min(MAX_EF_FACTOR, self.ef_factor * _STEP)
                self._shares.clear()

    @property
    def measured(self) -> float:
        """Mean recall@10 of the sample; 1 where there was none."""
        return float(np.mean(self._shares)) if self._shares else 1.0

    @property
    def comparisons(self) -> int:
        """How many searches the figure is the mean of."""
        return len(self._shares)

    @property
    def below_floor(self) -> bool:
        """Whether more effort does not help any more."""
        return self.ef_factor >= MAX_EF_FACTOR and len(self._shares) >= ENOUGH and self.measured < FLOOR

    def restart(self) -> None:
        """Forgets what was measured of an earlier ANN index."""
        with self._lock:
            self._sample = None
            self._shares.clear()
            self.ef_factor = 1.0
