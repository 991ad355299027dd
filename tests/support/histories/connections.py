"""One connection to one server, and what is told of one record through it."""

from __future__ import annotations

import math
import struct
from typing import Any, Protocol

import grpc
from google.rpc import error_details_pb2, status_pb2

from afterimage.v1 import (
    collection_service_pb2,
    collection_service_pb2_grpc,
    record_service_pb2,
    record_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)
from service.rpc.status import DETAILS_KEY
from tests.support.histories.operations import Told
from tests.support.servers.hostile import OPTIONS, bearer

DIMENSION, COLLECTION = 384, "things"
DEADLINE_S = 6.0
_RECONNECTING: list[tuple[str, Any]] = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
]
_INTERRUPTED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
_NOTHING_DONE = ("STORE_UNAVAILABLE", "SHUTTING_DOWN")
_CREATED, _UPDATED = record_service_pb2.WRITE_OUTCOME_CREATED, record_service_pb2.WRITE_OUTCOME_UPDATED


class NotDone(Exception):
    """The service says that it has done nothing."""


class NobodyKnows(Exception):
    """What was asked may have been done, or may still be done."""


class TornRead(AssertionError):
    """A search found a record by the vector of another value than that of its attributes."""


class Asked(Protocol):
    """How one server is asked. All but `close` raise NotDone or NobodyKnows."""

    server: int

    def write(self, key: str, value: int, *, insert_only: bool = False) -> Told: ...
    def delete(self, key: str) -> Told: ...
    def read(self, key: str) -> int | None: ...
    def search(self, key: str) -> int | None: ...
    def close(self) -> None: ...


class Connection:
    """server: its number. A channel of its own, and so one process of the server."""

    def __init__(self, target: str, key: str, server: int = 0) -> None:
        self.server = server
        self.channel = grpc.insecure_channel(target, options=[*OPTIONS, *_RECONNECTING])
        self._metadata = bearer(key)
        self._records = record_service_pb2_grpc.RecordServiceStub(self.channel)
        self._searches = search_service_pb2_grpc.SearchServiceStub(self.channel)

    def create_collection(self) -> None:
        request = collection_service_pb2.CreateCollectionRequest()
        request.collection.name = COLLECTION
        stub = collection_service_pb2_grpc.CollectionServiceStub(self.channel)
        stub.CreateCollection(request, metadata=self._metadata, timeout=60, wait_for_ready=True)

    def write(self, key: str, value: int, *, insert_only: bool = False) -> Told:
        request = record_service_pb2.InsertRecordsRequest(collection=COLLECTION, insert_only=insert_only)
        added = request.records.add(record_id=key, vector=vector(value))
        added.attributes["owner"].string_value = key
        added.attributes["value"].number_value = value
        (result,) = self._asked(self._records.InsertRecords, request).results
        if result.HasField("error"):
            assert insert_only, result
            assert result.error.reason == "RECORD_EXISTS", result
            return Told.EXISTS
        return {_CREATED: Told.CREATED, _UPDATED: Told.UPDATED}[result.outcome]

    def delete(self, key: str) -> Told:
        request = record_service_pb2.DeleteRecordsRequest(collection=COLLECTION, record_ids=[key], force=True)
        response = self._asked(self._records.DeleteRecords, request)
        assert len(response.missing_record_ids) == 1 - response.record_count
        return Told.MISSING if response.missing_record_ids else Told.DELETED

    def read(self, key: str) -> int | None:
        request = record_service_pb2.GetRecordsRequest(collection=COLLECTION, record_ids=[key])
        found = self._asked(self._records.GetRecords, request).records
        return int(found[0].attributes["value"].number_value) if found else None

    def search(self, key: str) -> int | None:
        """The same, by the vector index."""
        request = search_service_pb2.SearchRequest(collection=COLLECTION, k=3, filter=f'owner = "{key}"')
        request.query.add(vector=query())
        hits = self._asked(self._searches.Search, request).hits
        if not hits:
            return None
        (hit,) = hits
        value = int(hit.attributes["value"].number_value)
        check_whole(key, value, hit.distance)
        return value

    def close(self) -> None:
        self.channel.close()

    def _asked(self, call: Any, request: Any) -> Any:
        try:
            return call(request, metadata=self._metadata, timeout=DEADLINE_S)
        except grpc.RpcError as error:
            reason = reason_of(error) or str(error.code())
            if error.code() not in _INTERRUPTED:
                raise
            raise NotDone(reason) if reason in _NOTHING_DONE else NobodyKnows(reason) from error


def reason_of(error: grpc.RpcError) -> str:
    """The reason that the server gave; empty if it gave none."""
    call: Any = error
    details = dict(call.trailing_metadata() or ()).get(DETAILS_KEY, b"")
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(details).details:
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def vector(value: int, dimension: int = DIMENSION) -> bytes:
    """A unit vector, whose angle to the query of `search` tells the value from those that were written just before."""
    angle = _angle(value)
    return struct.pack(f"<{dimension}f", math.cos(angle), math.sin(angle), *[0.0] * (dimension - 2))


def query(dimension: int = DIMENSION) -> bytes:
    """The vector that is searched with."""
    return struct.pack(f"<{dimension}f", 1.0, *[0.0] * (dimension - 1))


def check_whole(key: str, value: int, distance: float) -> None:
    """Raises TornRead where the distance to the query is not that of the value's vector."""
    if abs(distance - (1 - math.cos(_angle(value)))) > 2e-3:
        raise TornRead(f"{key}: the attributes are of {value}, the distance is {distance}")


def _angle(value: int) -> float:
    return (0.1 + 0.8 * (value * 0.6180339887498949 % 1)) * math.pi
