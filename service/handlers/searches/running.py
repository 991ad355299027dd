"""Searches from their requests to their responses: one, or all of a batch with one hop to a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from afterimage.v1 import search_service_pb2 as pb
from index import Collection, SearchAnswer, SearchQuery
from service.calls.binary import EncodedResponse
from service.calls.limits.bulk_share import Work
from service.calls.limits.large_responses import SMALL_BYTES, LargeResponses, add_each
from service.engine.emphasis import Emphasis
from service.engine.engine import Engine
from service.engine.faults import as_service_error, translated_errors
from service.engine.feedback import Judged, moved
from service.engine.pictures import Encoded
from service.engine.query import QueryTerm, encode_query, opened, weighed
from service.engine.search_ids import SealedQuery, to_search_id
from service.errors import ServiceError
from service.handlers.conversion.answers import add_hits, add_shown, from_answer
from service.handlers.conversion.feedback import to_refinement
from service.handlers.conversion.plain import is_plain
from service.handlers.conversion.search import (
    check_k,
    check_search,
    is_composed,
    max_hits,
    max_objects_of,
    orders_by_distance,
    region_used,
    to_search_query,
    to_terms,
)
from service.handlers.conversion.shown import result_field
from service.handlers.conversion.values import from_notes, most_vectors, within
from service.handlers.searches.batches import encoded_result, or_error, search_all, to_result
from service.handlers.searches.objects import ObjectSearches
from service.handlers.searches.plain_searches import PlainSearches
from service.handlers.searches.saved_searches import fill_in_saved
from service.handlers.searches.search_report import search, search_at_once
from service.metrics import Metrics
from service.runtime.clock import Stopwatch
from service.runtime.concurrency import gather_bounded
from service.tenancy.apikeys import Scope
from service.tenancy.keyring import Principal
from service.tracing.allowed import Attribute, Stage
from service.tracing.spans import note, stage
from service.tuning.calibration import Calibration

_RECORD_BYTES = 1024  # typical size of a record without its vector
_READ_FOR_FIELDS = 4  # attributes that `fields` leaves out are read, but not sent
_SHOWN_AT_ONCE = 100  # hits that are added before other calls may go on
_AT_ONCE = 8  # searches of one call whose queries are made at a time


@dataclass(frozen=True)
class _Checked:
    """A request within its limits. is_plain: nothing but one vector and k is set. version: of its saved search, 0
    without one. vector_bytes: of each hit."""

    request: pb.SearchRequest
    terms: tuple[QueryTerm, ...]
    is_plain: bool = False
    version: int = 0
    vector_bytes: int = 0

    @property
    def for_objects(self) -> bool:
        """Whether it searches with each object of a picture."""
        return not self.is_plain and bool(max_objects_of(self.request))

    @property
    def is_small(self) -> bool:
        """Whether its response waits for no other."""
        return max_hits(self.request) * (_RECORD_BYTES + self.vector_bytes) <= SMALL_BYTES


@dataclass(frozen=True)
class _Prepared:
    """A search that the index can answer."""

    checked: _Checked
    collection: Collection
    terms: tuple[QueryTerm, ...]
    asked: Encoded
    query: SearchQuery
    emphasis: Emphasis
    calibration: Calibration
    encode_s: float
    watch: Stopwatch = field(default_factory=Stopwatch)  # since the query was made


class Searches:
    """Runs searches. For one event loop."""

    def __init__(self, engine: Engine, metrics: Metrics, responses: LargeResponses) -> None:
        self._engine, self._metrics, self._responses = engine, metrics, responses
        self.objects = ObjectSearches(engine, self._with_terms)
        self._plain = PlainSearches(engine, metrics, responses)

    async def one(self, request: pb.SearchRequest, caller: Principal) -> pb.SearchResponse | EncodedResponse:
        """Runs a search. Raises ServiceError."""
        if is_plain(request) and (response := self._plain.at_once(request, caller)) is not None:
            return response
        return await self._run(await self._checked(request, caller), caller)

    async def several(
        self, requests: Sequence[pb.SearchRequest], caller: Principal
    ) -> pb.BatchSearchResponse | EncodedResponse:
        """Runs searches with one hop to a thread for all that are small; each fails alone."""
        plain = await self._plain.together(requests, caller)
        if plain is None:
            return pb.BatchSearchResponse(results=await self._in_turn(requests, caller))
        rest = [request for request, response in zip(requests, plain, strict=True) if response is None]
        others = iter(await self._in_turn(rest, caller) if rest else ())
        results = (encoded_result(next(others)) if response is None else result_field(response) for response in plain)
        return EncodedResponse(pb.BatchSearchResponse, b"".join(results))

    async def _in_turn(self, requests: Sequence[pb.SearchRequest], caller: Principal) -> list[pb.SearchResult]:
        with self._responses.searching(caller.tenant_uid):
            begun = await gather_bounded((or_error(self._begun(r, caller)) for r in requests), _AT_ONCE)
            small = [one for one in begun if isinstance(one, _Prepared)]
            answers = iter(await self._answers(small)) if small else iter(())
            answered = [next(answers) if isinstance(one, _Prepared) else None for one in begun]
            ended = (or_error(self._ended(*pair, caller)) for pair in zip(begun, answered, strict=True))
            return [to_result(one) for one in await gather_bounded(ended, _AT_ONCE)]

    async def answer(
        self, collection: Collection, query: SearchQuery, counted_by: Calibration | None = None
    ) -> SearchAnswer:
        """The answer of the index: at once where that takes no longer than a hop to a thread. counted_by: of a search
        that is counted."""
        with translated_errors(), stage(Stage.SEARCH) as searching:
            answer = search_at_once(collection, query, counted_by)
            if answer is None:
                answer = await self._engine.workers.read(search, collection, query, counted_by)
            searching.begins_with(Stage.FILTER, answer.filter_s)
        note(Attribute.PATH, answer.path.value)
        return answer

    async def _answers(self, prepared: Sequence[_Prepared]) -> list[SearchAnswer | Exception]:
        wanted = [(one.collection, one.query, one.calibration) for one in prepared]
        with stage(Stage.SEARCH) as searching:
            answers = await self._engine.workers.read(search_all, wanted)
            found = [answer for answer in answers if isinstance(answer, SearchAnswer)]
            searching.begins_with(Stage.FILTER, sum(answer.filter_s for answer in found))
        for answer in found:
            note(Attribute.PATH, answer.path.value)
        return answers

    async def _checked(self, request: pb.SearchRequest, caller: Principal) -> _Checked:
        if is_plain(request):
            check_k(request)
            return _Checked(request, to_terms(request.query), is_plain=True)
        version = await fill_in_saved(self._engine, request, caller)
        check_search(request)
        terms, vector_bytes = to_terms(request.query), 0
        if request.include_vectors:
            caller.require(Scope.EXPORT)
            collection = await self._engine.collection(caller, request.collection)
            within("k", max_hits(request), 1, most_vectors(collection.spec.dimension))
            vector_bytes = 4 * collection.spec.dimension
        return _Checked(request, terms, version=version, vector_bytes=vector_bytes)

    async def _run(self, checked: _Checked, caller: Principal) -> pb.SearchResponse:
        if checked.is_small:
            with self._responses.searching(caller.tenant_uid):
                return await self._found(checked, caller, Work())
        hits = max_hits(checked.request)
        async with self._responses.making(caller.tenant_uid, hits, checked.vector_bytes) as work:
            return await self._found(checked, caller, work)

    async def _found(self, checked: _Checked, caller: Principal, work: Work) -> pb.SearchResponse:
        if not checked.for_objects:
            return await self._made(checked, caller, work)
        response = await self.objects.each(checked.request, checked.terms, caller, work)
        response.saved_search_version = checked.version
        return response

    async def _with_terms(
        self, request: pb.SearchRequest, terms: tuple[QueryTerm, ...], caller: Principal, work: Work
    ) -> pb.SearchResponse:
        return await self._made(_Checked(request, terms), caller, work)

    async def _made(self, checked: _Checked, caller: Principal, work: Work) -> pb.SearchResponse:
        prepared = await self._prepared(checked, caller)
        answer = await self.answer(prepared.collection, prepared.query, prepared.calibration)
        return await self._response(prepared, answer, work)

    async def _begun(self, request: pb.SearchRequest, caller: Principal) -> _Prepared | _Checked:
        """A search of a batch: prepared, or only checked where its response is large or has hits of each object."""
        checked = await self._checked(request, caller)
        together = checked.is_small and not checked.for_objects
        return await self._prepared(checked, caller) if together else checked

    async def _ended(
        self, begun: _Prepared | _Checked | ServiceError, answer: SearchAnswer | Exception | None, caller: Principal
    ) -> pb.SearchResponse:
        if isinstance(begun, ServiceError):
            raise begun
        if isinstance(begun, _Checked):
            return await self._run(begun, caller)
        if not isinstance(answer, SearchAnswer):
            raise as_service_error(answer or LookupError("no answer"))
        return await self._response(begun, answer, Work())

    async def _prepared(self, checked: _Checked, caller: Principal) -> _Prepared:
        watch, request, engine = Stopwatch(), checked.request, self._engine
        judged = Judged() if checked.is_plain else to_refinement(request)
        collection = await engine.collection(caller, request.collection)
        terms = checked.terms if checked.is_plain else opened(collection, checked.terms)
        asked = await encode_query(engine, caller, collection, terms, {})
        refined = await moved(engine, collection, asked.vector, judged)
        of_pictures = not orders_by_distance(terms)
        requested = {} if checked.is_plain else dict(request.emphasis)
        query, emphasis = weighed(engine, collection, refined, requested, of_pictures=of_pictures)
        encode_s, calibration = watch.seconds(), engine.calibration_of(collection)
        max_bytes = self._responses.most_bytes * (_READ_FOR_FIELDS if request.fields else 1)
        wanted = to_search_query(request, terms, query, emphasis, calibration, max_bytes, plain=checked.is_plain)
        return _Prepared(checked, collection, terms, asked, wanted, emphasis, calibration, encode_s)

    async def _response(self, prepared: _Prepared, answer: SearchAnswer, work: Work) -> pb.SearchResponse:
        request, collection, calibration = prepared.checked.request, prepared.collection, prepared.calibration
        self._metrics.search_paths.labels(answer.path.value).inc()
        search_s, spec, asked = prepared.watch.seconds(), collection.spec, prepared.asked
        response = from_answer(answer, prepared.emphasis, calibration)
        response.encoder_id, response.encoder_fingerprint = spec.encoder_id, spec.encoder_fingerprint
        response.regions_used.extend(region_used(t) for t in prepared.terms)
        response.notes.extend(from_notes(asked.notes))
        response.saved_search_version = prepared.checked.version
        if request.with_search_id:
            sealed = SealedQuery(asked.vector, is_composed(prepared.terms), orders_by_distance(prepared.terms))
            response.search_id = to_search_id(collection, sealed)
        shown = (answer.shown[i : i + _SHOWN_AT_ONCE] for i in range(0, len(answer.shown), _SHOWN_AT_ONCE))
        await add_each(shown, lambda hits: add_shown(response, hits, calibration), work)
        await add_each(answer.groups, lambda group: add_hits(response, request, group, calibration), work)
        response.timings.encode_ms = prepared.encode_s * 1000
        response.timings.search_ms = search_s * 1000
        response.timings.total_ms = (prepared.encode_s + prepared.watch.seconds()) * 1000
        return response
