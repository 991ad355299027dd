"""Searching: terms become one vector, the index answers, distances become scores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from index import UNLIMITED_BYTES, Collection, Hit, Region, SearchAnswer, SearchQuery, Vector, normalised
from service.encoder.manifest import ScoreSpec
from service.engine.emphasis import emphasised
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.engine.pictures import Encoded, PictureSource
from service.errors import Reason, ServiceError
from service.intake.notes import Note
from service.tenancy.keyring import Principal


@dataclass(frozen=True)
class QueryTerm:
    """One part of a query. Exactly one of `picture`, `record_id` and `vector` is set."""

    weight: float = 1.0
    picture: PictureSource | None = None
    record_id: str = ""
    vector: Vector | None = None


@dataclass(frozen=True)
class SearchInput:
    """A search as it was sent; limits are checked before."""

    collection: str
    terms: tuple[QueryTerm, ...]
    k: int
    offset: int = 0
    filter: str = ""
    group_by_product: bool = False
    group_size: int = 1
    max_distance: float | None = None
    min_score: float | None = None
    exclude_record_ids: frozenset[str] = frozenset()
    include_vectors: bool = False
    emphasis: Mapping[str, float] = field(default_factory=dict)
    exact: bool = False
    facets: tuple[str, ...] = ()
    max_bytes: int = UNLIMITED_BYTES

    @property
    def most_hits(self) -> int:
        """How many hits the answer may hold."""
        return self.k * (self.group_size if self.group_by_product else 1)


@dataclass(frozen=True)
class SearchOutput:
    """An answer with what belongs to it."""

    answer: SearchAnswer
    score: ScoreSpec
    encoder_id: str
    encoder_fingerprint: str
    regions_used: tuple[Region | None, ...]
    notes: tuple[Note, ...]
    encode_s: float
    search_s: float


class Query:
    """Searches for any tenant."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def search(self, principal: Principal, wanted: SearchInput) -> SearchOutput:
        """The answer. Raises ServiceError."""
        started = time.perf_counter()
        collection = await self._engine.collection(principal, wanted.collection)
        terms = await self._encoded(principal, collection, wanted.terms)
        encoded = time.perf_counter()
        score = self._engine.score_of(collection)
        combined = combine([t.vector for t in terms], [t.weight for t in wanted.terms])
        asked = emphasised(combined, self._engine.blocks_of(collection), wanted.emphasis)
        query = SearchQuery(
            vector=asked.vector,
            k=wanted.k,
            offset=wanted.offset,
            filter=wanted.filter,
            group_by_product=wanted.group_by_product,
            group_size=wanted.group_size,
            max_distance=farthest(wanted, score),
            exclude_record_ids=wanted.exclude_record_ids | {t.record_id for t in wanted.terms if t.record_id},
            include_vectors=wanted.include_vectors,
            exact=wanted.exact,
            facets=wanted.facets,
            own_record=all(t.record_id for t in wanted.terms),
            by_distance=bool(wanted.emphasis),
            composed=len(wanted.terms) > 1 or bool(wanted.emphasis),
            scale=asked.scale,
            max_bytes=wanted.max_bytes,
        )
        with translated_errors():
            answer = await self._engine.workers.read(collection.search, query)
        regions = tuple(t.picture.region if t.picture else None for t in wanted.terms)
        spec, notes = collection.spec, tuple(note for term in terms for note in term.notes)
        return SearchOutput(
            answer, score, spec.encoder_id, spec.encoder_fingerprint, regions, notes,
            encoded - started, time.perf_counter() - encoded,
        )  # fmt: skip

    async def classify(
        self, principal: Principal, wanted: SearchInput, attribute: str
    ) -> tuple[list[tuple[str, float, int]], bool]:
        """A vote of the nearest records on an attribute, each weighted by its score: (value, share, votes), the
        likeliest first, and whether the vote is undecided (no value has more than half). Raises ServiceError."""
        found = await self.search(principal, wanted)
        votes: dict[str, tuple[float, int]] = {}
        total = 0.0
        for hit in (h for g in found.answer.groups for h in g):
            weight = found.score.score(hit.distance)
            total += weight
            for value in _labels(hit, attribute):
                sum_, count = votes.get(value, (0.0, 0))
                votes[value] = (sum_ + weight, count + 1)
        shares = [(value, sum_ / total, count) for value, (sum_, count) in votes.items() if total > 0]
        shares.sort(key=lambda s: (-s[1], s[0]))
        return shares, not shares or shares[0][1] <= 0.5

    async def _encoded(self, principal: Principal, collection: Collection, terms: Sequence[QueryTerm]) -> list[Encoded]:
        named = [t.record_id for t in terms if t.record_id]
        with translated_errors():
            stored = await self._engine.workers.read(collection.get, named, vectors=True) if named else {}

        async def encoded(term: QueryTerm) -> Encoded:
            if term.picture is not None:
                encoder = self._engine.encoder_of(collection)
                picture = replace(term.picture, partial=collection.spec.partial)
                return await self._engine.encoded(principal, picture, encoder)
            if term.vector is not None:
                with translated_errors():
                    return Encoded(normalised("query.vector", term.vector, collection.spec.dimension))
            record = stored.get(term.record_id)
            if record is None or record.vector is None:
                raise ServiceError(Reason.RECORD_NOT_FOUND, f"no record {term.record_id!r}", field="query.record_id")
            return Encoded(record.vector)

        return list(await asyncio.gather(*(encoded(t) for t in terms)))


def combine(vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """The weighted sum of normalised vectors, normalised. Raises ServiceError where it vanishes."""
    total = np.zeros_like(vectors[0], np.float64)
    for vector, weight in zip(vectors, weights, strict=True):
        total += weight * vector / max(float(np.linalg.norm(vector)), 1e-12)
    norm = float(np.linalg.norm(total))
    if norm < 1e-6:
        raise ServiceError(Reason.ARGUMENT_INVALID, "the terms of the query cancel each other out", field="query")
    return (total / norm).astype(np.float32)


def farthest(wanted: SearchInput, score: ScoreSpec) -> float | None:
    """The largest distance of a hit that may be shown, of all that single precision has: a hit is within both limits
    as its answer tells distance and score, in single precision too. None where nothing is too far; below 0 where
    everything is."""
    if wanted.max_distance is None and wanted.min_score is None:
        return None
    most, least = (
        np.float32(2.0 if wanted.max_distance is None else wanted.max_distance),
        np.float32(wanted.min_score or 0),
    )

    def is_shown(distance: np.float32) -> bool:
        return bool(distance <= most and np.float32(score.score(float(distance))) >= least)

    # The larger a number that is not negative, the larger its bits, read as an integer.
    low, high = -1, int(np.float32(2.0).view(np.int32))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_shown(np.int32(middle).view(np.float32)) else (low, middle - 1)
    return -1.0 if low < 0 else float(np.int32(low).view(np.float32))


def _labels(hit: Hit, attribute: str) -> list[str]:
    value = hit.record.attributes.get(attribute)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [value] if isinstance(value, str) else []
