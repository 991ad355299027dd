"""SavedSearchService, and the use of saved searches by others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from afterimage.v1 import saved_search_service_pb2 as pb
from afterimage.v1 import search_service_pb2 as search_pb
from index import Collection, SavedSearch
from service.engine.emphasis import emphasised
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.handlers.conversion.saved_searches import (
    fill_in,
    filters_of,
    from_saved,
    sample_search,
    to_content,
)
from service.handlers.conversion.search import check_search, to_search_query
from service.handlers.conversion.values import invalid, page_size, within
from service.handlers.request_limits import MAX_VERSION
from service.tenancy.keyring import Principal


class SavedSearchHandlers:
    """Documented in saved_search_service.proto."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def CreateSavedSearch(
        self, request: pb.CreateSavedSearchRequest, caller: Principal
    ) -> pb.CreateSavedSearchResponse:
        """Keeps a search under a new name."""
        collection = await self._engine.collection(caller, request.collection)
        wanted, content = request.saved_search, to_content(request.saved_search)
        hints = await self._checked(collection, content)
        made = await self._write(lambda: collection.saved_searches.create(wanted.name, content))
        return pb.CreateSavedSearchResponse(saved_search=from_saved(made), filter_hints=hints)

    async def GetSavedSearch(self, request: pb.GetSavedSearchRequest, caller: Principal) -> pb.GetSavedSearchResponse:
        """Returns a version of a saved search."""
        collection = await self._engine.collection(caller, request.collection)
        found = await _saved(self._engine, collection, request.name, request.version)
        return pb.GetSavedSearchResponse(saved_search=from_saved(found))

    async def ListSavedSearches(
        self, request: pb.ListSavedSearchesRequest, caller: Principal
    ) -> pb.ListSavedSearchesResponse:
        """Returns a page of saved searches. The token is the last name of the previous page."""
        size = page_size(request.page_size)
        collection = await self._engine.collection(caller, request.collection)
        with translated_errors():
            found = await self._engine.workers.read(collection.saved_searches.page, request.page_token, size + 1)
        token = found[size - 1].name if len(found) > size else ""
        messages = [from_saved(one) for one in found[:size]]
        return pb.ListSavedSearchesResponse(saved_searches=messages, next_page_token=token)

    async def UpdateSavedSearch(
        self, request: pb.UpdateSavedSearchRequest, caller: Principal
    ) -> pb.UpdateSavedSearchResponse:
        """Makes a new version of a saved search."""
        collection = await self._engine.collection(caller, request.collection)
        wanted, content = request.saved_search, to_content(request.saved_search)
        hints = await self._checked(collection, content)
        made = await self._write(lambda: collection.saved_searches.update(wanted.name, content, wanted.etag))
        return pb.UpdateSavedSearchResponse(saved_search=from_saved(made), filter_hints=hints)

    async def ListSavedSearchVersions(
        self, request: pb.ListSavedSearchVersionsRequest, caller: Principal
    ) -> pb.ListSavedSearchVersionsResponse:
        """Returns the kept versions of a saved search."""
        collection = await self._engine.collection(caller, request.collection)
        with translated_errors():
            found = await self._engine.workers.read(collection.saved_searches.versions, request.name)
        return pb.ListSavedSearchVersionsResponse(versions=[from_saved(one) for one in found])

    async def RestoreSavedSearch(
        self, request: pb.RestoreSavedSearchRequest, caller: Principal
    ) -> pb.RestoreSavedSearchResponse:
        """Makes an earlier version the newest one again."""
        collection = await self._engine.collection(caller, request.collection)
        within("version", request.version, 1, MAX_VERSION)
        content = (await _saved(self._engine, collection, request.name, request.version)).content
        hints = await self._checked(collection, content)
        made = await self._write(lambda: collection.saved_searches.update(request.name, content, request.etag))
        return pb.RestoreSavedSearchResponse(saved_search=from_saved(made), filter_hints=hints)

    async def DeleteSavedSearch(
        self, request: pb.DeleteSavedSearchRequest, caller: Principal
    ) -> pb.DeleteSavedSearchResponse:
        """Deletes a saved search with all versions."""
        collection = await self._engine.collection(caller, request.collection)
        with translated_errors():
            count = await self._engine.workers.write(collection.saved_searches.delete, request.name, request.etag)
        return pb.DeleteSavedSearchResponse(version_count=count)

    async def _write(self, change: Callable[[], SavedSearch]) -> SavedSearch:
        with translated_errors():
            return await self._engine.workers.write(change)

    async def _checked(self, collection: Collection, content: bytes) -> list[str]:
        """Runs the search over no record. Returns hints about its filters. Raises ServiceError if it cannot be run."""
        request = sample_search(content)
        check_search(request)
        ones = np.ones(collection.spec.dimension, np.float32) / np.float32(np.sqrt(collection.spec.dimension))
        emphasis = self._engine.emphasis_of(collection, dict(request.emphasis))
        query = emphasised(ones, self._engine.blocks_of(collection), emphasis.weights)
        wanted = to_search_query(request, (), query, emphasis, self._engine.calibration_of(collection), max_bytes=1)
        hints: list[str] = []
        with translated_errors():
            await self._engine.workers.read(collection.search, wanted._replace(only_record_ids=frozenset({""})))
            for text in filters_of(request):
                found = await self._engine.workers.read(collection.filter_hints, text)
                hints += [sentence for sentence in found.sentences if sentence not in hints]
        return hints


async def fill_in_saved(engine: Engine, request: search_pb.SearchRequest, caller: Principal) -> int:
    """Adds to a search, in place, what its saved search says. Returns the version of that; 0 if it names none.

    In place: what is recorded of a call is then what was searched.
    """
    if not request.saved_search:
        for name in ("saved_search_version", "parameters", "saved_search_without"):
            if getattr(request, name):
                raise invalid(name, f"{name} is only of use with saved_search")
        return 0
    collection = await engine.collection(caller, request.collection)
    found = await _saved(engine, collection, request.saved_search, request.saved_search_version)
    fill_in(request, found.content)
    return found.version


async def _saved(engine: Engine, collection: Collection, name: str, version: int) -> SavedSearch:
    within("version", version, 0, MAX_VERSION)
    with translated_errors():
        return await engine.workers.read(collection.saved_searches.get, name, version)
