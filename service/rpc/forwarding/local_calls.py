"""The calls that a query process answers itself, and which of their requests.

All of them only read what a tenant has stored. What needs a model, a picture, the audit log or a saved search is the
writer's, and so is whatever fails here: the writer's answer is the one that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from service.calls.handlers import Handler
from service.engine.engine import Engine
from service.engine.faults import as_service_error
from service.errors import Code, Reason, ServiceError
from service.rpc.forwarding.query_methods import current_call
from service.rpc.forwarding.writer_channel import WriterChannel
from service.tenancy.keyring import Principal

Answerable = Callable[[Any], bool]
_STORED = (None, "record_id", "vector", "search_id")  # kinds of terms whose vector needs no model
# Errors of the request itself: the writer would say the same.
_FINAL = frozenset({Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED})


def _search(request: Any) -> bool:
    if request.include_vectors or request.saved_search or request.objects or request.max_objects:
        return False
    return all(term.WhichOneof("source") in _STORED for term in request.query)


def _batch(request: Any) -> bool:
    return all(map(_search, request.searches))


def _without_vectors(request: Any) -> bool:
    return not request.include_vectors


ANSWERED_HERE: Mapping[str, Answerable] = {
    "/afterimage.v1.SearchService/Search": _search,
    "/afterimage.v1.SearchService/BatchSearch": _batch,
    "/afterimage.v1.RecordService/GetRecords": _without_vectors,
    "/afterimage.v1.RecordService/ListRecords": _without_vectors,
    "/afterimage.v1.RecordService/CountRecords": lambda _: True,
}


class LocalCalls:
    """Handlers of these calls, for one event loop."""

    def __init__(self, engine: Engine, writer: WriterChannel) -> None:
        self._engine, self._writer = engine, writer

    def handlers(self, bound: Mapping[str, Handler]) -> dict[str, Handler]:
        """`bound`: handlers that answer in this process, by path."""
        return {path: self._either(path, bound[path], fits) for path, fits in ANSWERED_HERE.items()}

    def _either(self, path: str, answer: Any, fits: Answerable) -> Handler:
        async def handle(request: Any, caller: Principal) -> Any:
            if caller.access_id or caller.reads_told_every_minutes or not fits(request):
                return await self._forwarded(path, request)
            try:
                if not await self._knows_encoders(request, caller):
                    return await self._forwarded(path, request)
                response = await answer(request, caller)
            except Exception as failure:
                error = as_service_error(failure)
                if error.reason.code in _FINAL:
                    raise
                return await self._forwarded(path, request, instead_of=error)
            return response if _whole(response) else await self._forwarded(path, request)

        return handle

    async def _knows_encoders(self, request: Any, caller: Principal) -> bool:
        """Whether this process has the encoder of each collection, on which scores depend. Models of tenants' own are
        known to the writer alone. Raises ServiceError."""
        names = {s.collection for s in request.searches} if hasattr(request, "searches") else {request.collection}
        collections = [await self._engine.collection(caller, name) for name in names]
        return all(self._engine.pinned(collection) is not None for collection in collections)

    async def _forwarded(self, path: str, request: Message, instead_of: ServiceError | None = None) -> Any:
        """The writer's answer. While the writer cannot be reached, an error of this process is better than none."""
        try:
            return await self._writer.call(path, request.SerializeToString(), current_call())
        except ServiceError as error:
            unreachable = type(error) is ServiceError and error.reason is Reason.STORE_UNAVAILABLE
            if instead_of is not None and unreachable:
                raise instead_of from None
            raise


def _whole(response: Any) -> bool:
    """Whether no search of a batch failed for a reason that the writer may not see."""
    results = response.results if hasattr(response, "results") else ()
    return all(not r.HasField("error") or r.error.code in _FINAL for r in results)
