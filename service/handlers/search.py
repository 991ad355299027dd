"""SearchService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator

from afterimage.v1 import search_service_pb2 as pb
from index import DuplicateGroup, SearchQuery, VerdictTally
from service.calls.binary import EncodedResponse, message_of
from service.calls.limits.large_responses import LargeResponses
from service.encoder.manifest import Manifest
from service.engine.classification import is_undecided, labels_of
from service.engine.engine import Engine
from service.engine.faults import as_service_error, translated_errors
from service.engine.pictures import Encoded
from service.engine.query import distance_limit, encode_query, opened, weighed
from service.errors import ServiceError
from service.handlers.conversion.comparison import compared, to_searches
from service.handlers.conversion.likeness import from_duplicates, from_encoded, from_encoded_text, to_ranked
from service.handlers.conversion.pairs import add_verdicts, from_tally
from service.handlers.conversion.search import (
    is_composed,
    max_distance_of,
    min_score_of,
    orders_by_distance,
    record_ids_of,
    to_picture,
    to_terms,
    to_text,
)
from service.handlers.conversion.values import check_count, invalid, within
from service.handlers.judgements import JudgementHandlers
from service.handlers.request_limits import DEFAULT_CLASSIFY_K, MAX_BATCH_SEARCHES, MAX_CLASSIFY_K, MAX_PICTURES
from service.handlers.searches.projection import Projections
from service.handlers.searches.running import Searches
from service.metrics import Metrics
from service.runtime.concurrency import gather_bounded
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import Principal
from service.tracing.allowed import Stage
from service.tracing.spans import stage

_AT_ONCE = 8  # searches to compare, or pictures, of one call that run at a time


class SearchHandlers(JudgementHandlers):
    """Documented in search_service.proto."""

    def __init__(self, engine: Engine, metrics: Metrics, responses: LargeResponses) -> None:
        self._engine, self._searches = engine, Searches(engine, metrics, responses)
        self._projections = Projections(engine, responses)

    async def Search(self, request: pb.SearchRequest, caller: Principal) -> pb.SearchResponse | EncodedResponse:
        """Finds the nearest records."""
        return await self._searches.one(request, caller)

    async def BatchSearch(
        self, request: pb.BatchSearchRequest, caller: Principal
    ) -> pb.BatchSearchResponse | EncodedResponse:
        """Runs several searches; each fails alone."""
        check_count("searches", len(request.searches), MAX_BATCH_SEARCHES)
        return await self._searches.several(request.searches, caller)

    async def CompareSearches(
        self, request: pb.CompareSearchesRequest, caller: Principal
    ) -> pb.CompareSearchesResponse:
        """Runs two searches and compares their hits."""
        first, second = to_searches(request)
        found, other = await gather_bounded((self.Search(s, caller) for s in (first, second)), _AT_ONCE)
        return compared(request, message_of(found), message_of(other))

    async def FindDuplicates(
        self, request: pb.FindDuplicatesRequest, caller: Principal
    ) -> AsyncIterator[pb.FindDuplicatesResponse]:
        """Yields groups of records that look the same."""
        collection = await self._engine.collection(caller, request.collection)
        near = self._engine.score_of(collection).near_duplicate_distance
        max_distance = max_distance_of(request)
        groups = collection.duplicates(
            request.filter, near if max_distance is None else max_distance, judged=not request.ignore_verdicts
        )
        count = 0
        while isinstance(group := await self._next_group(groups), DuplicateGroup):
            count += 1
            yield add_verdicts(from_duplicates(group, near), group)
        if request.with_summary:
            yield from_tally(count, group)

    async def Encode(self, request: pb.EncodeRequest, caller: Principal) -> pb.EncodeResponse:
        """Returns the vectors of pictures and texts; stores nothing."""
        count = len(request.pictures)
        check_count("pictures", count + len(request.texts), MAX_PICTURES)
        caller.require(Scope.SEARCH)
        encoder = self._engine.encoders.manifest(request.encoder_id, caller.tenant_uid)
        asked = [self._encode(p, encoder, caller) for p in request.pictures]
        asked += [self._encode_text(text, encoder, caller) for text in request.texts]
        encoded = await gather_bounded(asked, _AT_ONCE)
        return pb.EncodeResponse(
            pictures=[from_encoded(e) for e in encoded[:count]],
            texts=[from_encoded_text(e) for e in encoded[count:]],
            encoder_id=encoder.id,
            encoder_fingerprint=encoder.fingerprint,
            dimension=encoder.output.dimension,
        )

    async def DetectObjects(self, request: pb.DetectObjectsRequest, caller: Principal) -> pb.DetectObjectsResponse:
        """Finds the objects in pictures; stores nothing."""
        return await self._searches.objects.detect(request, caller)

    async def Classify(self, request: pb.ClassifyRequest, caller: Principal) -> pb.ClassifyResponse:
        """Labels a query by a vote of the nearest records."""
        if not request.attribute:
            raise invalid("attribute", "attribute is empty")
        terms = to_terms(request.query)
        k, min_score = within("k", request.k, 0, MAX_CLASSIFY_K) or DEFAULT_CLASSIFY_K, min_score_of(request)
        collection = await self._engine.collection(caller, request.collection)
        terms = opened(collection, terms)
        asked = await encode_query(self._engine, caller, collection, terms, {})
        unlike = orders_by_distance(terms)
        query, emphasis = weighed(self._engine, collection, asked.vector, {}, of_pictures=not unlike)
        by_distance = emphasis.by_distance or unlike
        calibration = self._engine.calibration_of(collection)
        answer = await self._searches.answer(
            collection,
            SearchQuery(
                query.vector,
                k,
                filter=request.filter,
                max_distance=distance_limit(None, min_score, calibration),
                exclude_record_ids=record_ids_of(terms),
                own_record=all(t.record_id for t in terms),
                by_distance=by_distance,
                composed=is_composed(terms) or bool(emphasis.weights),
                scale=query.scale,
                weights=None if by_distance else query.weights,
                unweighted=None if by_distance else query.unweighted,
            ),
        )
        labels = labels_of(answer, request.attribute, calibration)
        return pb.ClassifyResponse(
            labels=[pb.ClassifyLabel(value=v.value, confidence=v.confidence, votes=v.votes) for v in labels],
            undecided=is_undecided(labels),
        )

    async def Rank(self, request: pb.RankRequest, caller: Principal) -> pb.RankResponse:
        """Orders pictures by likeness to a query."""
        check_count("pictures", len(request.pictures), MAX_PICTURES)
        encoder = self._engine.encoders.manifest(request.encoder_id, caller.tenant_uid)
        pictures = (request.query, *request.pictures)
        query, *rest = await gather_bounded((self._encode(p, encoder, caller) for p in pictures), _AT_ONCE)
        if isinstance(query, ServiceError):
            raise query
        ranked = [to_ranked(i, query, e, encoder.score) for i, e in enumerate(rest)]
        ranked.sort(key=lambda r: (r.HasField("error"), r.distance, r.index))
        return pb.RankResponse(ranked=ranked)

    async def ProjectRecords(self, request: pb.ProjectRecordsRequest, caller: Principal) -> pb.ProjectRecordsResponse:
        """Places a sample of records on a plane."""
        return await self._projections.project(request, caller)

    async def _next_group(self, groups: Generator[DuplicateGroup, None, VerdictTally]) -> DuplicateGroup | VerdictTally:
        with translated_errors(), stage(Stage.SEARCH):
            return await self._engine.workers.read(_next_or_result, groups)

    async def _encode(self, picture: pb.PictureInput, encoder: Manifest, caller: Principal) -> Encoded | ServiceError:
        try:
            return await self._engine.encoded(caller, to_picture(picture), encoder)
        except Exception as failure:
            return as_service_error(failure)

    async def _encode_text(self, text: str, encoder: Manifest, caller: Principal) -> Encoded | ServiceError:
        try:
            return await self._engine.encoded_text(caller, to_text(text, "texts"), encoder, "texts")
        except Exception as failure:
            return as_service_error(failure)


def _next_or_result(groups: Generator[DuplicateGroup, None, VerdictTally]) -> DuplicateGroup | VerdictTally:
    try:
        return next(groups)
    except StopIteration as end:
        tally: VerdictTally = end.value
        return tally
