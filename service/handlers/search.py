"""SearchService."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from afterimage.v1 import search_service_pb2 as pb
from index import Attributes, DuplicateGroup, Facet, Hit, ScanStrategy
from service.calls.error_details import to_record_error
from service.calls.limits.answers import LargeAnswers, add_each
from service.calls.limits.bulk_share import Work
from service.encoder.manifest import Manifest, ScoreSpec
from service.engine.engine import Engine
from service.engine.faults import as_service_error, translated_errors
from service.engine.pictures import Encoded, PictureSource
from service.engine.query import Query, QueryTerm, SearchInput, SearchOutput
from service.errors import ServiceError, release_frames
from service.handlers.conversion.values import (
    check_count,
    from_attributes,
    from_notes,
    from_region,
    from_vector,
    invalid,
    most_vectors,
    number_within,
    timestamp,
    to_region,
    to_vector,
    within,
)
from service.metrics import Metrics
from service.runtime.concurrency import gather_bounded
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import Principal

MAX_K = 1000
MAX_OFFSET = 10_000
MAX_HITS = 10_000
MAX_TERMS = 16
MAX_FACETS = 16
MAX_BATCH_SEARCHES = 32
MAX_PICTURES = 100
_SMALL_BYTES = 256 * 1024  # an answer that is made at once
_READ_FOR_FIELDS = 4
_AT_ONCE = 8  # searches or pictures of one call that are worked on at a time
_PATHS = {
    ScanStrategy.EMPTY: pb.SEARCH_PATH_EMPTY,
    ScanStrategy.EXACT: pb.SEARCH_PATH_EXACT,
    ScanStrategy.EXACT_FILTERED: pb.SEARCH_PATH_EXACT_FILTERED,
    ScanStrategy.SKETCHES: pb.SEARCH_PATH_SKETCHES,
    ScanStrategy.SKETCHES_FILTERED: pb.SEARCH_PATH_SKETCHES_FILTERED,
    ScanStrategy.GRAPH: pb.SEARCH_PATH_GRAPH,
    ScanStrategy.GRAPH_FILTERED: pb.SEARCH_PATH_GRAPH_FILTERED,
    ScanStrategy.CLUSTERS_FILTERED: pb.SEARCH_PATH_CLUSTERS_FILTERED,
}


class SearchHandlers:
    """Documented in search_service.proto."""

    def __init__(self, engine: Engine, metrics: Metrics, answers: LargeAnswers) -> None:
        self._engine, self._metrics, self._answers = engine, metrics, answers
        self._query = Query(engine)

    async def Search(self, request: pb.SearchRequest, caller: Principal) -> pb.SearchResponse:
        """Finds the nearest records."""
        return await self._search(request, caller)

    async def BatchSearch(self, request: pb.BatchSearchRequest, caller: Principal) -> pb.BatchSearchResponse:
        """Several searches; each fails alone."""
        check_count("searches", len(request.searches), MAX_BATCH_SEARCHES)
        results = await gather_bounded((self._one(s, caller) for s in request.searches), _AT_ONCE)
        return pb.BatchSearchResponse(results=results)

    async def FindDuplicates(
        self, request: pb.FindDuplicatesRequest, caller: Principal
    ) -> AsyncIterator[pb.FindDuplicatesResponse]:
        """Groups of records that look the same, as they are found."""
        collection = await self._engine.collection(caller, request.collection)
        near = self._engine.score_of(collection).near_duplicate_distance
        wanted = _optional_number(request, "max_distance", 2.0)
        reach = near if wanted is None else wanted
        groups = collection.duplicates(request.filter, reach)
        while (group := await self._next_group(groups)) is not None:
            yield pb.FindDuplicatesResponse(
                kind=_duplicate_kind(group, near),
                record_ids=group.record_ids,
                max_distance=group.max_distance,
                identical=[pb.IdenticalRecords(record_ids=same) for same in group.identical_ids],
            )

    async def _next_group(self, groups: Iterator[DuplicateGroup]) -> DuplicateGroup | None:
        with translated_errors():
            return await self._engine.workers.read(next, groups, None)

    async def Encode(self, request: pb.EncodeRequest, caller: Principal) -> pb.EncodeResponse:
        """Vectors of pictures; stores nothing."""
        check_count("pictures", len(request.pictures), MAX_PICTURES)
        caller.require(Scope.SEARCH)
        encoder = self._engine.encoders.manifest(request.encoder_id, caller.tenant_uid)
        encoded = await gather_bounded((self._encode(p, encoder, caller) for p in request.pictures), _AT_ONCE)
        return pb.EncodeResponse(
            pictures=[
                pb.EncodedPicture(error=to_record_error(e)) if isinstance(e, ServiceError)
                else pb.EncodedPicture(vector=from_vector(e.vector), notes=from_notes(e.notes))
                for e in encoded
            ],
            encoder_id=encoder.id,
            encoder_fingerprint=encoder.fingerprint,
            dimension=encoder.output.dimension,
        )  # fmt: skip

    async def Classify(self, request: pb.ClassifyRequest, caller: Principal) -> pb.ClassifyResponse:
        """A vote of the neighbours."""
        if not request.attribute:
            raise invalid("attribute", "attribute is empty")
        wanted = SearchInput(
            collection=request.collection,
            terms=_terms(request.query),
            k=within("k", request.k, 0, 100) or 10,
            filter=request.filter,
            min_score=_optional_number(request, "min_score", 1.0),
        )
        labels, undecided = await self._query.classify(caller, wanted, request.attribute)
        return pb.ClassifyResponse(
            labels=[pb.ClassifyLabel(value=v, confidence=share, votes=votes) for v, share, votes in labels],
            undecided=undecided,
        )

    async def Rank(self, request: pb.RankRequest, caller: Principal) -> pb.RankResponse:
        """Orders pictures by likeness to a query."""
        check_count("pictures", len(request.pictures), MAX_PICTURES)
        encoder = self._engine.encoders.manifest(request.encoder_id, caller.tenant_uid)
        pictures = (request.query, *request.pictures)
        query, *rest = await gather_bounded((self._encode(p, encoder, caller) for p in pictures), _AT_ONCE)
        if isinstance(query, ServiceError):
            raise query
        ranked = [_ranked(i, query, e, encoder.score) for i, e in enumerate(rest)]
        ranked.sort(key=lambda r: (r.HasField("error"), r.distance, r.index))
        return pb.RankResponse(ranked=ranked)

    async def _one(self, request: pb.SearchRequest, caller: Principal) -> pb.SearchResult:
        try:
            return pb.SearchResult(response=await self._search(request, caller))
        except Exception as failure:
            error = to_record_error(as_service_error(failure))
            release_frames(failure)
            return pb.SearchResult(error=error)

    async def _search(self, request: pb.SearchRequest, caller: Principal) -> pb.SearchResponse:
        # What is left out of the records is read all the same.
        most_bytes = self._answers.most_bytes * (_READ_FOR_FIELDS if request.fields else 1)
        wanted = replace(_search_input(request), max_bytes=most_bytes)
        vector_bytes = 0
        if request.include_vectors:
            caller.require(Scope.EXPORT)
            collection = await self._engine.collection(caller, request.collection)
            within("k", wanted.most_hits, 1, most_vectors(collection.spec.dimension))
            vector_bytes = 4 * collection.spec.dimension
        if wanted.most_hits * (1024 + vector_bytes) <= _SMALL_BYTES:
            with self._answers.searching(caller.tenant_uid):
                return await self._answered(request, wanted, caller, Work())
        async with self._answers.making(caller.tenant_uid, wanted.most_hits, vector_bytes) as work:
            return await self._answered(request, wanted, caller, work)

    async def _answered(
        self, request: pb.SearchRequest, wanted: SearchInput, caller: Principal, work: Work
    ) -> pb.SearchResponse:
        started = time.perf_counter()
        found = await self._query.search(caller, wanted)
        self._metrics.search_paths.labels(found.answer.path.value).inc()
        return await _response(request, found, started, work)

    async def _encode(self, picture: pb.PictureInput, encoder: Manifest, caller: Principal) -> Encoded | ServiceError:
        try:
            return await self._engine.encoded(caller, _picture(picture), encoder)
        except Exception as failure:
            return as_service_error(failure)


def _duplicate_kind(group: DuplicateGroup, near: float) -> pb.DuplicateKind.ValueType:
    if group.identical:
        return pb.DUPLICATE_KIND_IDENTICAL
    return pb.DUPLICATE_KIND_NEAR if group.max_distance <= near else pb.DUPLICATE_KIND_SIMILAR


def _search_input(request: pb.SearchRequest) -> SearchInput:
    if request.group_by not in ("", "product_id"):
        raise invalid("group_by", "group_by must be product_id or empty")
    check_count("exclude_record_ids", len(request.exclude_record_ids) + 1, 1001)
    check_count("facets", len(request.facets) + 1, MAX_FACETS + 1)
    if request.group_by and request.k * request.group_size > MAX_HITS:
        raise invalid("group_size", f"k times group_size is more than {MAX_HITS}")
    return SearchInput(
        collection=request.collection,
        terms=_terms(request.query),
        k=within("k", request.k, 1, MAX_K),
        offset=within("offset", request.offset, 0, MAX_OFFSET),
        filter=request.filter,
        group_by_product=bool(request.group_by),
        group_size=within("group_size", request.group_size, 0, 100) or 1,
        max_distance=_optional_number(request, "max_distance", 2.0),
        min_score=_optional_number(request, "min_score", 1.0),
        exclude_record_ids=frozenset(request.exclude_record_ids),
        include_vectors=request.include_vectors,
        emphasis=dict(request.emphasis),
        exact=request.exact,
        facets=tuple(request.facets),
    )


def _optional_number(request: Any, field: str, high: float) -> float | None:
    return number_within(field, getattr(request, field), 0.0, high) if request.HasField(field) else None


def _terms(messages: Sequence[pb.QueryTerm]) -> tuple[QueryTerm, ...]:
    check_count("query", len(messages), MAX_TERMS)
    terms = tuple(_term(m) for m in messages)
    if not any(t.weight > 0 for t in terms):
        raise invalid("query.weight", "at least one term needs a positive weight")
    return terms


def _term(message: pb.QueryTerm) -> QueryTerm:
    weight = number_within("query.weight", message.weight, -1000.0, 1000.0) or 1.0
    kind = message.WhichOneof("source")
    if kind in ("image", "url"):
        return QueryTerm(weight, picture=_picture(message))
    if message.HasField("region"):
        raise invalid("query.region", "a region can only be set with a picture")
    if kind == "record_id" and message.record_id:
        return QueryTerm(weight, record_id=message.record_id)
    if kind == "vector":
        return QueryTerm(weight, vector=to_vector("query.vector", message.vector))
    raise invalid("query", "a term needs an image, a url, a record_id or a vector")


def _picture(message: pb.QueryTerm | pb.PictureInput) -> PictureSource:
    region = to_region(message.region) if message.HasField("region") else None
    return PictureSource(message.image if message.WhichOneof("source") == "image" else None, message.url, region)


async def _response(request: pb.SearchRequest, found: SearchOutput, started: float, work: Work) -> pb.SearchResponse:
    answer = found.answer
    response = pb.SearchResponse(
        allowed_count=answer.allowed,
        encoder_id=found.encoder_id,
        encoder_fingerprint=found.encoder_fingerprint,
        sequence=answer.sequence,
        index_time=timestamp(answer.index_time_ms),
        path=_PATHS[answer.path],
        regions_used=[from_region(r) if r else pb.QueryTerm().region for r in found.regions_used],
        facets=[_facet(f) for f in answer.facets],
        learned_order=answer.learned,
        unknown_attributes=answer.hints.unknown_attributes,
        filter_hints=answer.hints.sentences,
        notes=from_notes(found.notes),
    )
    fields = frozenset(request.fields)

    def add_group(group: Sequence[Hit]) -> None:
        target = response.hits
        if request.group_by:
            made = response.groups.add(product_id=group[0].record.product_id)
            target = made.hits
        for hit in group:
            _hit(hit, found.score, fields, target.add())

    await add_each(answer.groups, add_group, work)
    response.timings.encode_ms = found.encode_s * 1000
    response.timings.search_ms = found.search_s * 1000
    response.timings.total_ms = (time.perf_counter() - started) * 1000
    return response


def _facet(facet: Facet) -> pb.Facet:
    counts = [
        pb.FacetCount(bool_value=value, count=count)
        if isinstance(value, bool)
        else pb.FacetCount(string_value=value, count=count)
        for value, count in facet.counts
    ]
    return pb.Facet(attribute=facet.attribute, counts=counts, value_count=facet.values)


def _hit(hit: Hit, score: ScoreSpec, fields: frozenset[str], message: pb.Hit) -> None:
    record = hit.record
    message.record_id, message.product_id = record.record_id, record.product_id
    message.distance, message.score = hit.distance, score.score(hit.distance)
    from_attributes(_selected(record.attributes, fields), message.attributes)
    if record.vector is not None:
        message.vector = from_vector(record.vector)


def _selected(attributes: Attributes, fields: frozenset[str]) -> Attributes:
    if not fields:
        return attributes
    return {n: v for n, v in attributes.items() if n in fields}


def _ranked(index: int, query: Encoded, found: Encoded | ServiceError, score: ScoreSpec) -> pb.RankedPicture:
    if isinstance(found, ServiceError):
        return pb.RankedPicture(index=index, error=to_record_error(found))
    distance = max(0.0, 1.0 - float(np.dot(query.vector, found.vector)))
    return pb.RankedPicture(index=index, distance=distance, score=score.score(distance))
