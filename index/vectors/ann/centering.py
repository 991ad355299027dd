"""What a collection learns from its own vectors, and from no other's: where it lies, and where its queries do.

Embeddings of one catalogue crowd around a common direction, which says nothing about any of them. Subtracting it makes
likeness mean more, provided that catalogue and queries are each centred by their own mean: product shots on white and
photographs from a street lie in different places, and one common mean would pull them apart in the wrong way.

Whether it helps is checked without labels. The numbers of a vector, mixed by a random rotation, are cut in two halves,
which are two weak views of the same input. The nearest by one half, centred or not, should be near by the other half
too: `agreement` is the share that is. Centring is used where it raises this by at least LEAST_GAIN, and given up where
it does not raise it at all.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.types.query import QuerySum
from index.types.record import Vector
from index.vectors.arrays.float16_matrix import Float16Matrix

LEAST_ROWS = 1000
LEAST_QUERIES = 4  # fewer say nothing about where queries lie, and centring by the catalogue's mean alone may lose
FARTHEST = 0.5  # means of many different queries lie no farther from the catalogue's mean
RECENT = 256  # queries that count once, however often they come
LEAST_GAIN = 0.005
SAMPLE = 2000
_NEAREST, _NEAR, _SPLITS = 10, 50, 2
_SHORTEST = 1e-6


@dataclass(frozen=True)
class CenteringTransform:
    """Where a collection's vectors are seen from. Both means: shape (dimension,), float32."""

    catalogue_mean: Vector
    query_mean: Vector

    @cached_property
    def uid(self) -> str:
        """The same for frames in which rows are the same."""
        return hashlib.sha256(self.catalogue_mean.tobytes()).hexdigest()[:16]

    def to_bytes(self) -> bytes:
        """Both means, float32."""
        return self.catalogue_mean.tobytes() + self.query_mean.tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> CenteringTransform | None:
        """What `to_bytes` wrote; None where there is nothing."""
        means = np.frombuffer(content, np.float32).reshape(2, -1)
        return cls(means[0], means[1]) if means.size else None

    def rows(self, vectors: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors of records, shape (n, dimension), as they are compared: centred at length 1, and the length that they
        had after centring, shape (n,)."""
        centred = np.asarray(vectors, np.float32) - self.catalogue_mean
        lengths = np.maximum(np.linalg.norm(centred, axis=1), _SHORTEST).astype(np.float32)
        return centred / lengths[:, None], lengths

    def query(self, vector: Vector, *, own_record: bool, weights: Vector | None = None) -> Vector:
        """A query as it is compared. own_record: it is the vector of one of the collection's records. weights: of each
        number, shape (dimension,)."""
        centred = vector - (self.catalogue_mean if own_record else self.query_mean)
        if weights is not None:
            centred = centred * weights
        return np.ascontiguousarray(centred / max(float(np.linalg.norm(centred)), _SHORTEST), np.float32)

    def cosines(self, query: Vector, float16: Float16Matrix, lengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """The encoder's own cosine of a query, not centred, with rows as they are compared."""
        own = float16.astype(np.float32) @ query
        return np.asarray(lengths * own + float(np.dot(query, self.catalogue_mean)), np.float32)

    def originals(self, float16: Float16Matrix, lengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows as they are compared, back as the encoder made them, in half precision's exactness."""
        return float16.astype(np.float32) * lengths[:, None] + self.catalogue_mean


class QueryMean:
    """The mean of the queries of a collection, as they come in. Any number of threads may call any method at once."""

    def __init__(self, dimension: int, stored: bytes = b"") -> None:
        """`stored`: what `to_bytes` gave earlier."""
        numbers = np.frombuffer(stored, np.float64)
        self._sum = numbers[1:].copy() if len(numbers) == dimension + 1 else np.zeros(dimension)
        self.count = int(numbers[0]) if len(numbers) == dimension + 1 else 0
        self.wanted = True
        self._recent: dict[int, None] = {}  # salted hashes, the latest last
        self._lock = threading.Lock()

    def add(self, vector: Vector) -> None:
        """Notes a query of length 1, where that is wanted; the query itself is not kept. One that was noted lately, as
        when somebody turns pages, is not noted again."""
        if not self.wanted:
            return
        known = hash(vector.tobytes())  # salted by the process, and never written
        with self._lock:
            if known in self._recent:
                return
            if len(self._recent) == RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[known] = None
            self._note(vector)

    def _note(self, vector: Vector) -> None:
        self._sum += vector
        self.count += 1

    def merge(self, count: int, total: NDArray[np.float64]) -> None:
        """Notes queries that another process was asked: how many, and the sum of them, shape (dimension,)."""
        if not self.wanted or total.shape != self._sum.shape:
            return
        with self._lock:
            self._sum += total
            self.count += count

    def mean(self) -> Vector:
        """The mean so far."""
        with self._lock:
            return (self._sum / max(self.count, 1)).astype(np.float32)

    def shrunk(self, catalogue_mean: Vector) -> Vector:
        """The mean of the queries to come, shape (dimension,): the mean so far, drawn towards the catalogue's.

        It is the positive-part estimate of James and Stein (1961). The queries have length 1, so their mean alone tells
        how far they scatter, and so its error. What of its distance from the catalogue's mean the error explains is
        taken back. A mean beyond FARTHEST is one of few different queries, whatever their number: the farther it lies,
        the less of it is used. So queries that are nearly the same, however many, hardly move it.
        """
        with self._lock:
            count, mean = self.count, self._sum / max(self.count, 1)
        assumed = catalogue_mean.astype(np.float64)
        apart = float(((mean - assumed) ** 2).sum())
        if count < 2 or apart == 0:
            return catalogue_mean
        error = max(1 - float((mean**2).sum()), 0.0) / (count - 1)
        share = min(max(1 - error / apart, 0.0), FARTHEST**2 / apart)
        return (assumed + share * (mean - assumed)).astype(np.float32)

    def to_bytes(self) -> bytes:
        """Count and sum, float64."""
        with self._lock:
            return np.concatenate([[float(self.count)], self._sum]).tobytes()


class QueryTap(QueryMean):
    """A mean of queries that also keeps those which the writer's process has not heard of. A query that comes again is
    noted once by each process."""

    def __init__(self, dimension: int, stored: bytes) -> None:
        super().__init__(dimension, stored)
        self._new = QuerySum(0, np.zeros(dimension))

    def _note(self, vector: Vector) -> None:
        super()._note(vector)
        self._new = QuerySum(self._new.number + 1, self._new.total + vector)

    def take(self) -> QuerySum:
        """The queries noted since the last call."""
        with self._lock:
            taken, self._new = self._new, QuerySum(0, np.zeros(len(self._sum)))
        return taken


def gain(vectors: NDArray[np.float32]) -> float:
    """By how much centring raises the agreement of a sample's halves; vectors: shape (n, dimension), length 1."""
    return agreement(vectors, lambda half: half - half.mean(0)) - agreement(vectors, lambda half: half)


def agreement(vectors: NDArray[np.float32], change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> float:
    """How far the two halves of vectors, shape (n, dimension), mixed by a random rotation, agree on what is near: the
    share of each row's _NEAREST nearest by one half, changed, that are among its _NEAR nearest by the other, centred.
    The mean of _SPLITS rotations."""
    shares = []
    for split in range(_SPLITS):
        turn = np.linalg.qr(np.random.default_rng(split).standard_normal((vectors.shape[1],) * 2))[0]
        turned = vectors @ turn.astype(np.float32)
        half = vectors.shape[1] // 2
        one, other = turned[:, :half], _unit(turned[:, half:] - turned[:, half:].mean(0))
        likeness = _likeness(_unit(change(_unit(one))))
        nearest = np.argpartition(-likeness, _NEAREST, axis=1)[:, :_NEAREST]
        near = np.einsum("nd,nkd->nk", other, other[nearest]) >= _rank_threshold(other)[:, None]
        shares.append(float(near.mean()))
    return float(np.mean(shares))


def _rank_threshold(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The likeness of each row with its _NEAR-th nearest."""
    return np.asarray(-np.partition(-_likeness(vectors), _NEAR - 1, axis=1)[:, _NEAR - 1], np.float32)


def _likeness(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of each row with each other, and with itself so low that it is never near."""
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -9)
    return np.asarray(likeness, np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _SHORTEST), np.float32)
