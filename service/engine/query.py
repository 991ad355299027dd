"""From the terms of a query to its vector, and from its limits to the maximum distance of a hit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from index import Collection, Vector, normalised
from service.engine.emphasis import Emphasis, emphasised, without_absent_blocks
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.engine.pictures import Encoded, PictureSource
from service.engine.search_ids import from_search_id
from service.engine.terms.colors import Color
from service.errors import Reason, ServiceError
from service.tenancy.keyring import Principal
from service.tuning.calibration import Scoring


@dataclass(frozen=True)
class QueryTerm:
    """One part of a query. Exactly one of `picture`, `record_id`, `vector`, `search_id`, `color` and `text` is set.

    composed: the vector is the sum of several. by_distance: it is unlike those of pictures, and nothing that a
    collection learnt of these applies.
    """

    weight: float = 1.0
    picture: PictureSource | None = None
    record_id: str = ""
    vector: Vector | None = None
    search_id: str = ""
    composed: bool = False
    by_distance: bool = False
    color: Color | None = None
    text: str = field(default="", repr=False)


def opened(collection: Collection, terms: Sequence[QueryTerm]) -> tuple[QueryTerm, ...]:
    """The terms with the vectors of search ids. Raises ServiceError (ARGUMENT_INVALID)."""

    def one(term: QueryTerm) -> QueryTerm:
        if not term.search_id:
            return term
        vector, composed, by_distance = from_search_id(collection, term.search_id)
        return QueryTerm(term.weight, vector=vector, composed=composed, by_distance=by_distance)

    return tuple(one(term) for term in terms)


async def encode_query(
    engine: Engine, principal: Principal, collection: Collection, terms: Sequence[QueryTerm],
    emphasis: Mapping[str, float],
) -> Encoded:  # fmt: skip
    """Encodes the terms, which `opened` returned, and adds them by weight. emphasis: weights of named blocks.

    Raises ServiceError if a picture cannot be encoded, a record does not exist (RECORD_NOT_FOUND), or the terms cancel
    each other out (ARGUMENT_INVALID).
    """
    encoded = await _encode_terms(engine, principal, collection, terms)
    combined = combine([e.vector for e in encoded], [t.weight for t in terms])
    query = emphasised(combined, engine.blocks_of(collection), emphasis)
    return query._replace(notes=tuple(note for e in encoded for note in e.notes))


def weighed(
    engine: Engine, collection: Collection, query: Vector, requested: Mapping[str, float], *, of_pictures: bool
) -> tuple[Encoded, Emphasis]:
    """Returns the query under the weights of the request, or else of the collection, and these weights. Raises
    ServiceError (ARGUMENT_INVALID).

    of_pictures: whether the query is made of vectors like those of records. Their zeros count.
    """
    blocks, emphasis = engine.blocks_of(collection), engine.emphasis_of(collection, requested)
    if not of_pictures:
        emphasis = without_absent_blocks(emphasis, query, blocks, requested)
    return emphasised(query, blocks, emphasis.weights), emphasis


async def _encode_terms(
    engine: Engine, principal: Principal, collection: Collection, terms: Sequence[QueryTerm]
) -> list[Encoded]:
    record_ids = [t.record_id for t in terms if t.record_id]
    with translated_errors():
        records = await engine.workers.read(collection.get, record_ids, vectors=True) if record_ids else {}

    def known(term: QueryTerm) -> Encoded:
        if term.vector is not None:
            with translated_errors():
                return Encoded(normalised("query.vector", term.vector, collection.spec.dimension))
        record = records.get(term.record_id)
        if record is None or record.vector is None:
            raise ServiceError(Reason.RECORD_NOT_FOUND, f"no record {term.record_id!r}", field="query.record_id")
        return Encoded(record.vector)

    async def encode(term: QueryTerm) -> Encoded:
        if term.picture is not None:
            picture = replace(term.picture, partial=collection.spec.partial)
            return await engine.encoded(principal, picture, engine.encoder_of(collection))
        if term.color is not None:
            return await engine.encoded_color(principal, term.color, engine.encoder_of(collection))
        if term.text:
            return await engine.encoded_text(principal, term.text, engine.encoder_of(collection), "query.text")
        return known(term)

    if all(t.picture is None and t.color is None and not t.text for t in terms):
        return [known(t) for t in terms]  # a task for each would take longer than the search
    return list(await asyncio.gather(*(encode(t) for t in terms)))


def combine(vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """Returns the weighted sum of normalised vectors, normalised: of one that counts, itself. Raises ServiceError if
    the sum is zero."""
    if len(vectors) == 1 and weights[0] > 0:
        return vectors[0]
    total = np.zeros_like(vectors[0], np.float64)
    for vector, weight in zip(vectors, weights, strict=True):
        total += weight * vector / max(float(np.linalg.norm(vector)), 1e-12)
    norm = float(np.linalg.norm(total))
    if norm < 1e-6:
        raise ServiceError(Reason.ARGUMENT_INVALID, "the terms of the query cancel each other out", field="query")
    return (total / norm).astype(np.float32)


def distance_limit(max_distance: float | None, min_score: float | None, calibration: Scoring) -> float | None:
    """Returns the largest float32 distance of a hit that is within both limits.

    Distances and scores are rounded to float32 as in a response, so that a hit is within the limits that its response
    shows. Returns None without limits, and -1 if no distance is within them.
    """
    if max_distance is None and min_score is None:
        return None
    most = np.float32(2.0 if max_distance is None else max_distance)
    least = np.float32(min_score or 0)

    def is_within(distance: np.float32) -> bool:
        return bool(distance <= most and np.float32(calibration.score(float(distance))) >= least)

    # The bits of non-negative floats, read as integers, have the order of the floats: a binary search over them.
    low, high = -1, int(np.float32(2.0).view(np.int32))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_within(np.int32(middle).view(np.float32)) else (low, middle - 1)
    return -1.0 if low < 0 else float(np.int32(low).view(np.float32))
