"""SearchService: what people say of its results."""

from __future__ import annotations

from typing import Any

from afterimage.v1 import search_service_pb2 as pb
from index import Judgement
from service.audit.chain import Details
from service.audit.tally import current_tallies
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.engine.feedback import keep
from service.engine.query import encode_query, opened
from service.handlers.conversion.feedback import from_sums, to_judged
from service.handlers.conversion.ordering import from_token, to_token
from service.handlers.conversion.pairs import from_pair, from_result, to_judgement, to_verdict
from service.handlers.conversion.search import to_terms
from service.handlers.conversion.values import check_count, page_size
from service.handlers.request_limits import MAX_IDS
from service.tenancy.keyring import Principal

_FEEDBACK = "feedback.add"


class JudgementHandlers:
    """Part of SearchHandlers. Documented in search_service.proto."""

    _engine: Engine

    async def JudgePairs(self, request: pb.JudgePairsRequest, caller: Principal) -> pb.JudgePairsResponse:
        """Stores verdicts on pairs; a bad one fails alone."""
        check_count("judgements", len(request.judgements), MAX_IDS)
        collection = await self._engine.collection(caller, request.collection)
        read = [to_judgement(message) for message in request.judgements]
        good = [judgement for judgement in read if isinstance(judgement, Judgement)]
        done = iter(await self._write(collection.judged_pairs.judge, good) if good else [])
        results = [next(done) if isinstance(judgement, Judgement) else judgement for judgement in read]
        return pb.JudgePairsResponse(
            results=[from_result(given, result) for given, result in zip(request.judgements, results, strict=True)]
        )

    async def ListJudgedPairs(
        self, request: pb.ListJudgedPairsRequest, caller: Principal
    ) -> pb.ListJudgedPairsResponse:
        """Returns a page of the judged pairs."""
        size, verdict = page_size(request.page_size), to_verdict(request.verdict)
        collection = await self._engine.collection(caller, request.collection)
        subject = f"{request.collection}\npairs {request.verdict}\n{request.record_id}"
        after = from_token(request.page_token, subject)
        with translated_errors():
            found = await self._engine.workers.read(
                collection.judged_pairs.page, after, size + 1, verdict=verdict, record_id=request.record_id
            )
        token = to_token(found[size - 1].pair_id, subject) if len(found) > size else ""
        return pb.ListJudgedPairsResponse(pairs=[from_pair(p) for p in found[:size]], next_page_token=token)

    async def AddFeedback(self, request: pb.AddFeedbackRequest, caller: Principal) -> pb.AddFeedbackResponse:
        """Adds likes and dislikes to the sums of a collection."""
        terms, judged = to_terms(request.query), to_judged(request)
        collection = await self._engine.collection(caller, request.collection)
        if not collection.feedback.kept:
            return pb.AddFeedbackResponse()
        query = await encode_query(self._engine, caller, collection, opened(collection, terms), {})
        subject: Details = {"collection": request.collection}
        with translated_errors():
            await current_tallies().begin(caller, _FEEDBACK, subject)
        kept, missing = await keep(self._engine, collection, query.vector, judged)
        liked, disliked = (len(set(ids) - set(missing)) if kept else 0 for ids in (judged.liked, judged.disliked))
        current_tallies().add(caller, _FEEDBACK, subject, liked=liked, disliked=disliked)
        return pb.AddFeedbackResponse(kept=kept, missing_record_ids=missing)

    async def GetFeedback(self, request: pb.GetFeedbackRequest, caller: Principal) -> pb.GetFeedbackResponse:
        """Returns the sums of a collection."""
        collection = await self._engine.collection(caller, request.collection)
        names = [b.name for b in self._engine.blocks_of(collection)] or [""]
        with translated_errors():
            return from_sums(await self._engine.workers.read(collection.feedback.sums), names)

    async def ClearFeedback(self, request: pb.ClearFeedbackRequest, caller: Principal) -> pb.ClearFeedbackResponse:
        """Deletes the sums of a collection."""
        collection = await self._engine.collection(caller, request.collection)
        return pb.ClearFeedbackResponse(count=await self._write(collection.feedback.clear))

    async def _write(self, function: Any, *args: Any) -> Any:
        with translated_errors():
            return await self._engine.workers.write(function, *args)
