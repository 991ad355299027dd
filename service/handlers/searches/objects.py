"""SearchService: the objects in pictures, and searches with each of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from afterimage.v1 import search_service_pb2 as pb
from service.calls.limits.bulk_share import Work
from service.detector.suppression import DetectedObject, ObjectLimits
from service.engine.detection.pipeline import ObjectsOfPicture
from service.engine.engine import Engine
from service.engine.faults import as_service_error
from service.engine.query import QueryTerm
from service.errors import ServiceError
from service.handlers.conversion.objects import add_object, from_objects, to_object_limits
from service.handlers.conversion.search import max_objects_of, to_picture
from service.handlers.conversion.values import check_count, from_notes
from service.handlers.request_limits import MAX_PICTURES
from service.runtime.clock import Stopwatch
from service.runtime.concurrency import gather_bounded
from service.tenancy.keyring import Principal

Answer = Coroutine[Any, Any, pb.SearchResponse]
Search = Callable[[pb.SearchRequest, tuple[QueryTerm, ...], Principal, Work], Answer]
_AT_ONCE = 8  # pictures or objects of one call that are worked on at a time


class ObjectSearches:
    """Part of SearchHandlers. search: answers a checked request with other terms than its own."""

    def __init__(self, engine: Engine, search: Search) -> None:
        self._engine, self._search = engine, search

    async def detect(self, request: pb.DetectObjectsRequest, caller: Principal) -> pb.DetectObjectsResponse:
        """Returns the objects of pictures; each picture fails alone. Raises ServiceError (DETECTOR_MISSING)."""
        check_count("pictures", len(request.pictures), MAX_PICTURES)
        min_score = request.min_score if request.HasField("min_score") else None
        limits, detector = to_object_limits(request.max_objects, min_score), self._engine.detection.check()
        found = await gather_bounded((self._objects(p, limits, caller) for p in request.pictures), _AT_ONCE)
        return pb.DetectObjectsResponse(
            pictures=[from_objects(f) for f in found], detector_id=detector.id, detector_version=detector.version
        )

    async def each(
        self, request: pb.SearchRequest, terms: tuple[QueryTerm, ...], caller: Principal, work: Work
    ) -> pb.SearchResponse:
        """Searches with each object of the picture that is the only term. The objects are encoded together.

        A picture without objects is searched with as a whole. If one search fails, all do. Raises ServiceError.
        """
        watch, (term,) = Stopwatch(), terms
        collection = await self._engine.collection(caller, request.collection)
        assert term.picture is not None
        given = replace(term.picture, partial=collection.spec.partial)
        picture = await self._engine.sources.resolved(given, caller.tenant_uid)
        found = await self._engine.objects_of(caller, picture, ObjectLimits(max_objects_of(request)))
        detected_s = watch.seconds()
        objects = found.or_all(picture.region)

        def search(one: DetectedObject) -> Answer:
            part = replace(term, picture=replace(picture, region=one.region))
            return self._search(request, (part,), caller, work)

        answers = await gather_bounded((search(one) for one in objects), _AT_ONCE)
        response = pb.SearchResponse()
        response.CopyFrom(answers[0])
        for name in ("hits", "groups", "search_id", "passed_over", "passed_over_total", "regions_used", "notes"):
            response.ClearField(name)
        for one, answer in zip(objects, answers, strict=True):
            add_object(response, one, answer)
        response.notes.extend(from_notes(found.notes))
        response.timings.encode_ms += detected_s * 1000
        response.timings.total_ms = watch.seconds() * 1000
        return response

    async def _objects(
        self, picture: pb.PictureInput, limits: ObjectLimits, caller: Principal
    ) -> ObjectsOfPicture | ServiceError:
        try:
            return await self._engine.objects_of(caller, to_picture(picture), limits)
        except Exception as failure:
            return as_service_error(failure)
