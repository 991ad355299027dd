"""ProjectRecords: a sample of a collection on a plane."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence

import numpy as np

from afterimage.v1 import search_service_pb2 as pb
from index import StoredRecord
from service.calls.limits.large_responses import LargeResponses, add_each
from service.calls.limits.turns import Turns
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.handlers.conversion.values import from_attribute, within
from service.handlers.request_limits import DEFAULT_PROJECTED, MAX_PROJECTED
from service.projection.layout import Layout, project
from service.tenancy.keyring import Principal

_SEED_BITS = 32
_PLACES = 2  # maps that are computed at once; of one tenant, one


class Projections:
    """Computes maps, tenants in turn. For one event loop."""

    def __init__(self, engine: Engine, responses: LargeResponses) -> None:
        self._engine, self._responses, self._turns = engine, responses, Turns(_PLACES)

    async def project(self, request: pb.ProjectRecordsRequest, caller: Principal) -> pb.ProjectRecordsResponse:
        """Draws records and places them. A cancellation stops the work within milliseconds. Raises ServiceError."""
        count = within("count", request.count, 0, MAX_PROJECTED) or DEFAULT_PROJECTED
        collection = await self._engine.collection(caller, request.collection)
        seed = request.seed if request.HasField("seed") else secrets.randbits(_SEED_BITS)
        read, vector_bytes = self._engine.workers.read, 4 * collection.spec.dimension
        async with self._responses.making(caller.tenant_uid, count, vector_bytes) as work:
            with translated_errors():
                drawn = await read(
                    work.timed(collection.sample), count, request.filter, seed=seed, vectors=True,
                    max_bytes=self._responses.most_bytes + count * vector_bytes,
                )  # fmt: skip
                hints = await read(collection.filter_hints, request.filter)
                matching = await read(collection.count, request.filter)
        response = pb.ProjectRecordsResponse(
            allowed_count=matching, seed=seed, unknown_attributes=hints.unknown_attributes,
            filter_hints=hints.sentences,
        )  # fmt: skip
        async with self._turns.turn(caller.tenant_uid):
            layout = await self._placed(drawn, seed)
        response.kept_neighbors = layout.kept_neighbors
        places = iter(layout.points.tolist())
        await add_each(drawn, lambda record: _add(response, record, next(places), request.attribute), work)
        return response

    async def _placed(self, drawn: Sequence[StoredRecord], seed: int) -> Layout:
        stopped = threading.Event()
        try:
            return await self._engine.workers.background(_project, drawn, seed, stopped)
        finally:
            stopped.set()


def _project(drawn: Sequence[StoredRecord], seed: int, stopped: threading.Event) -> Layout:
    vectors = np.array([record.vector for record in drawn], np.float32)
    return project(vectors, seed, stopped.is_set)


def _add(response: pb.ProjectRecordsResponse, record: StoredRecord, place: list[float], attribute: str) -> None:
    message = response.records.add(record_id=record.record_id, product_id=record.product_id, x=place[0], y=place[1])
    value = record.attributes.get(attribute) if attribute else None
    if value is not None:
        from_attribute(value, message.value)
