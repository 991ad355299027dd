"""Feedback: "more like this, less like that" in a search, and the sums of it that a collection keeps.

A session needs no state here. Each search brings all that was liked and disliked so far, and moves its query by
Rocchio's formula, `query + a * mean(liked) - b * mean(disliked)`. Nothing of that is stored. What AddFeedback stores is
described in `index.FeedbackSums`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index import Collection, FeedbackSums, Vector
from service.encoder.manifest import BlockSpec
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.errors import Reason, ServiceError

LIKED_WEIGHT, DISLIKED_WEIGHT = 1.5, 0.75  # decision 0062


@dataclass(frozen=True)
class Judged:
    """Records that a person liked and disliked, by id, and how far they move a query."""

    liked: tuple[str, ...] = ()
    disliked: tuple[str, ...] = ()
    liked_weight: float = LIKED_WEIGHT
    disliked_weight: float = DISLIKED_WEIGHT

    @property
    def record_ids(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.liked, *self.disliked))


async def moved(engine: Engine, collection: Collection, query: Vector, judged: Judged) -> Vector:
    """The query after feedback, L2-normalised. Records that do not exist are passed over. Raises ServiceError
    (ARGUMENT_INVALID) if query and records cancel each other out."""
    if not judged.record_ids:
        return query
    liked, disliked, _ = await _vectors(engine, collection, judged)
    total = query.astype(np.float64)
    for vectors, weight in ((liked, judged.liked_weight), (disliked, -judged.disliked_weight)):
        if len(vectors):
            total += weight * vectors.astype(np.float64).mean(0)
    norm = float(np.linalg.norm(total))
    if norm < 1e-6:
        message = "the query and the feedback cancel each other out"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field="feedback")
    return (total / norm).astype(np.float32)


async def keep(engine: Engine, collection: Collection, query: Vector, judged: Judged) -> tuple[bool, list[str]]:
    """Adds feedback to the sums of a collection. Returns whether something was kept, and the ids that do not exist."""
    liked, disliked, missing = await _vectors(engine, collection, judged)
    blocks = engine.blocks_of(collection)
    names = [b.name for b in blocks] or [""]
    sums = FeedbackSums.over(
        names, block_similarities(query, liked, blocks), block_similarities(query, disliked, blocks)
    )
    with translated_errors():
        return await engine.workers.write(collection.feedback.add, sums), missing


def block_similarities(query: Vector, vectors: NDArray[np.float32], blocks: Sequence[BlockSpec]) -> NDArray[np.float64]:
    """Dot products of a query and vectors, shape (n, dimension), in each block: float64, shape (n, blocks), or (n, 1)
    without blocks."""
    starts = np.cumsum([0, *(b.size for b in blocks[:-1])])
    return np.add.reduceat(vectors.astype(np.float64) * query.astype(np.float64), starts, axis=1)


async def _vectors(
    engine: Engine, collection: Collection, judged: Judged
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[str]]:
    """The vectors of the liked and of the disliked records, shape (n, dimension) each, and the ids without a record."""
    with translated_errors():
        found = await engine.workers.read(collection.get, sorted(judged.record_ids), vectors=True)

    def stacked(ids: Sequence[str]) -> NDArray[np.float32]:
        rows = [v for i in ids if i in found and (v := found[i].vector) is not None]
        return np.stack(rows) if rows else np.empty((0, collection.spec.dimension), np.float32)

    missing = [i for i in dict.fromkeys((*judged.liked, *judged.disliked)) if i not in found]
    return stacked(judged.liked), stacked(judged.disliked), missing
