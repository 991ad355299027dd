"""The straight path of plain searches: one vector, the collection and k, and nothing else in the request.

What they find and return is what `running` makes of them; a test compares. Steps that such a search has no use for are
left out: terms, weights, large responses, waiting. What it cannot answer, errors among it, is left to `running`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from prometheus_client import Counter

from afterimage.v1 import search_service_pb2 as pb
from afterimage.v1 import types_pb2 as types_pb
from index import AfterimageIndexError, Collection, CollectionSpec, ScanStrategy, SearchAnswer, SearchQuery, Vector
from service.calls.binary import EncodedResponse
from service.calls.limits.large_responses import LargeResponses
from service.encoder.manifest import Manifest
from service.engine.emphasis import Emphasis
from service.engine.engine import Engine
from service.handlers.conversion.answers import from_answer
from service.handlers.conversion.plain import is_plain
from service.handlers.conversion.shown import joined_hits, joined_hits_of_all, shown_hit, timings_field
from service.handlers.searches.search_report import search_at_once, search_together
from service.metrics import Metrics
from service.runtime.clock import Stopwatch
from service.tenancy.keyring import Principal
from service.tracing.allowed import Attribute, Stage
from service.tracing.spans import note, stage
from service.tuning.calibration import Calibration

MOST_HITS = 100  # of a plain search: its response is small
_NO_EMPHASIS, _REGION = Emphasis(), types_pb.Region()


@dataclass
class _Known:
    """What the responses of one collection have in common, for as long as it is the same.

    head: of the last response, without hits and timings, encoded; state: what it was made of.
    """

    spec: CollectionSpec
    manifest: Manifest | None
    calibration: Calibration
    weighted: bool
    state: tuple[object, ...] = ()
    head: bytes = field(default=b"", repr=False)

    def response(self, answer: SearchAnswer, hits: bytes, encode_s: float, search_s: float, watch: Stopwatch) -> bytes:
        """The encoded response. hits: encoded, of the answer."""
        state = answer.allowed, answer.path, answer.sequence, answer.index_time_ms, answer.learned
        head = self.head
        if state != self.state:
            message = from_answer(answer, _NO_EMPHASIS, self.calibration)
            message.encoder_id, message.encoder_fingerprint = self.spec.encoder_id, self.spec.encoder_fingerprint
            message.regions_used.append(_REGION)
            head = message.SerializeToString()
            self.head, self.state = head, state
        return head + hits + timings_field(encode_s * 1000, search_s * 1000, watch.seconds() * 1000)


class PlainSearches:
    """Answers plain searches. For one event loop."""

    def __init__(self, engine: Engine, metrics: Metrics, responses: LargeResponses) -> None:
        self._engine, self._metrics, self._responses = engine, metrics, responses
        self._known: WeakKeyDictionary[Collection, _Known] = WeakKeyDictionary()
        self._counted: dict[ScanStrategy, Counter] = {}

    def at_once(self, request: pb.SearchRequest, caller: Principal) -> EncodedResponse | None:
        """The response, without waiting; None where `running` has to make it. The request is plain."""
        watch = Stopwatch()
        found = self._collection(request.collection, caller) if request.k <= MOST_HITS else None
        if found is None:
            return None
        collection, known = found
        query = self._query(request)
        encode_s = watch.seconds()
        with self._responses.searching(caller.tenant_uid), stage(Stage.SEARCH):
            try:
                answer = None if query is None else search_at_once(collection, query, known.calibration)
            except AfterimageIndexError:
                return None
        if answer is None:
            return None
        self._count(answer)
        search_s, hits = watch.seconds() - encode_s, joined_hits(answer.shown, known.calibration)
        return EncodedResponse(pb.SearchResponse, known.response(answer, hits, encode_s, search_s, watch))

    async def together(self, requests: Sequence[pb.SearchRequest], caller: Principal) -> list[bytes | None] | None:
        """The encoded responses to plain searches of one collection with one k, with one hop to a thread; None where
        there are others, and in the place of each that `running` has to answer."""
        first, watch = requests[0], Stopwatch()
        if first.k > MOST_HITS or not all(
            r.collection == first.collection and r.k == first.k and is_plain(r) for r in requests
        ):
            return None
        found = self._collection(first.collection, caller)
        queries = [query for request in requests if (query := self._query(request)) is not None]
        if found is None or len(queries) < len(requests):
            return None
        collection, known = found
        encode_s = watch.seconds()
        with self._responses.searching(caller.tenant_uid), stage(Stage.SEARCH):
            answers = await self._engine.workers.read(search_together, collection, queries, known.calibration)
        search_s, answered = watch.seconds() - encode_s, [answer for answer in answers if answer is not None]
        hits = iter(joined_hits_of_all([answer.shown for answer in answered], known.calibration))
        for answer in answered:
            self._count(answer)
        return [a if a is None else known.response(a, next(hits), encode_s, search_s, watch) for a in answers]

    def _collection(self, name: str, caller: Principal) -> tuple[Collection, _Known] | None:
        """A collection of the caller's own; None where it is not there, not open yet, or weighs blocks."""
        directory = self._engine.spaces.opened_directory(caller.tenant_uid)
        try:
            collection = None if directory is None else directory.collection(name)
        except AfterimageIndexError:
            return None
        if collection is None:
            return None
        known, manifest, spec = self._known.get(collection), self._engine.pinned(collection), collection.spec
        if known is None or known.spec is not spec or known.manifest is not manifest:
            weighted = bool(self._engine.emphasis_of(collection, {}).weights)
            known = _Known(spec, manifest, self._engine.calibration_of(collection), weighted)
            self._known[collection] = known
        return None if known.weighted else (collection, known)

    def _query(self, request: pb.SearchRequest) -> SearchQuery | None:
        content = request.query[0].vector
        if len(content) % 4:
            return None
        vector: Vector = np.frombuffer(content, "<f4").astype(np.float32, copy=False)
        return SearchQuery(vector, request.k, max_bytes=self._responses.most_bytes, show=shown_hit)

    def _count(self, answer: SearchAnswer) -> None:
        note(Attribute.PATH, answer.path.value)
        counted = self._counted.get(answer.path)
        if counted is None:  # looking it up by its label takes a lock
            counted = self._counted[answer.path] = self._metrics.search_paths.labels(answer.path.value)
        counted.inc()
