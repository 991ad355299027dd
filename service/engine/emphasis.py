"""Emphasis: how much each named block of the vector counts in one search. Only the query changes.

With weights w, a query q and a stored vector x are compared by the weighted cosine

    sum_b w_b <q_b, x_b>  /  ( |q|_w |x|_w ),     |v|_w = sqrt( sum_b w_b |v_b|^2 ).

Every block of a stored vector has a fixed length, its `share` in the manifest. So |x|_w is the same for the whole
collection. A search with the vector w_b q_b has the same order, and a fixed factor converts its cosine. The index does
not know of it, and a picture stays at distance 0 from itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from index import Vector
from service.encoder.manifest import BlockSpec
from service.engine.pictures import Encoded
from service.errors import Reason, ServiceError
from service.tuning.tuning import Tuning

MAX_EMPHASIS = 100.0


@dataclass(frozen=True)
class Emphasis:
    """Weights by block name that a search uses; other blocks count 1.

    - `of_collection`: they are the collection's, so that they combine with the means that it has learnt.
    - `learned`: a tuning of the collection chose them.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    of_collection: bool = False
    learned: bool = False

    @property
    def by_distance(self) -> bool:
        """Whether hits are ordered by the weighted distance, and by nothing that the collection has learnt."""
        return bool(self.weights) and not self.of_collection


def effective_emphasis(
    requested: Mapping[str, float], tuning: Tuning, blocks: tuple[BlockSpec, ...], *, learning: bool
) -> Emphasis:
    """The weights of a request, or else those of the collection. learning: whether the collection may use learnt ones.
    Weights of blocks that are unknown here, because the encoder is missing, are not used."""
    if requested:
        return Emphasis(requested)
    names = {b.name for b in blocks}
    if not tuning.weights or not names.issuperset(tuning.weights) or (tuning.learned and not learning):
        return Emphasis()
    return Emphasis(tuning.weights, of_collection=True, learned=tuning.learned)


def without_absent_blocks(
    emphasis: Emphasis, query: Vector, blocks: tuple[BlockSpec, ...], requested: Mapping[str, float]
) -> Emphasis:
    """The emphasis, with weight 0 for each block that the query lacks, as one by colour does, and the request does not
    name. So the distance is that of the blocks which both have. What was learnt of whole vectors is not used then."""
    ends = np.cumsum([b.size for b in blocks])
    parts = zip(blocks, ends, strict=True)
    absent = {b.name: 0.0 for b, end in parts if b.name not in requested and not query[end - b.size : end].any()}
    if not 0 < len(absent) < len(blocks):
        return emphasis
    return Emphasis({**emphasis.weights, **absent}, learned=emphasis.learned)


def emphasised(vector: Vector, blocks: tuple[BlockSpec, ...], emphasis: Mapping[str, float]) -> Encoded:
    """Returns the query for weights by block name; other blocks count 1.

    Raises ServiceError (ARGUMENT_INVALID) for an unknown block, for a weight out of range, and if the result is zero.
    """
    if not emphasis:
        return Encoded(vector)
    check_emphasis(blocks, emphasis)
    weights = np.repeat([emphasis.get(b.name, 1.0) for b in blocks], [b.size for b in blocks])
    query = np.asarray(vector, np.float64)
    own = math.sqrt(float((weights * query * query).sum()))
    stored = math.sqrt(sum(emphasis.get(b.name, 1.0) * b.share for b in blocks))
    weighted = weights * query
    length = float(np.linalg.norm(weighted))
    if min(own, stored, length) < 1e-6:
        raise ServiceError(Reason.ARGUMENT_INVALID, "with these weights the query vector is zero", field="emphasis")
    return Encoded(
        (weighted / length).astype(np.float32),
        scale=length / (own * stored),
        weights=weights.astype(np.float32),
        unweighted=vector,
    )


def check_emphasis(blocks: tuple[BlockSpec, ...], emphasis: Mapping[str, float]) -> None:
    """Raises ServiceError (ARGUMENT_INVALID) for an unknown block and for a weight out of range."""
    names = [b.name for b in blocks]
    if not names:
        raise ServiceError(Reason.ARGUMENT_INVALID, "this collection's encoder has no named blocks", field="emphasis")
    for name, weight in emphasis.items():
        if name not in names:
            message = f"no block {name!r}; this collection's encoder has {', '.join(names)}"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="emphasis")
        if not 0 <= weight <= MAX_EMPHASIS:
            message = f"the weight of {name!r} must be 0 to {MAX_EMPHASIS:g}"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="emphasis")


def check_default_emphasis(blocks: tuple[BlockSpec, ...], emphasis: Mapping[str, float]) -> None:
    """Raises ServiceError (ARGUMENT_INVALID) unless each search can use these weights."""
    check_emphasis(blocks, emphasis)
    if all(emphasis.get(b.name, 1.0) == 0 for b in blocks):
        message = "all blocks have weight 0; at least one needs a weight above 0"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field="default_emphasis")
