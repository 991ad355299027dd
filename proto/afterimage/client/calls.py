"""Every call as a value: the method, the request, how to read the response, whether a retry is safe.

`Client` and `AsyncClient` turn these functions into methods, so that both have the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from afterimage.client import convert
from afterimage.client.checks import checked_texts
from afterimage.client.errors import InvalidArgument, invalid
from afterimage.client.values import (
    Collection,
    Deletion,
    FilterCheck,
    NewRecord,
    Patch,
    Record,
    RecordResult,
    RecordSample,
    ServerInfo,
)
from afterimage.v1 import collection_service_pb2 as collections_pb
from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import server_info_service_pb2 as info_pb

T = TypeVar("T")
_WITHOUT_KEY = ("InsertRecords", "AddFeedback")


@dataclass(frozen=True)
class Call(Generic[T]):
    """A call. `service` and `method` are names of the API. `takes_key`: the server makes it once for each idempotency
    key, so that it can be repeated with its key."""

    service: str
    method: str
    request: Any
    parse: Callable[[Any], T]
    retry_safe: bool = True
    timeout_s: float | None = None

    @property
    def takes_key(self) -> bool:
        """Whether the server makes the call once for each idempotency key."""
        return not self.retry_safe and self.method not in _WITHOUT_KEY


def create_collection(
    name: str, *, encoder_id: str = "", description: str = "", picture_policy: str = "DISCARD", learning: str = "auto",
    partial: bool = False, keep_feedback: bool = False, default_emphasis: Mapping[str, float] | None = None,
) -> Call[Collection]:  # fmt: skip
    """Creates an empty collection, pinned to one encoder.

    - encoder_id: empty: the server's default.
    - picture_policy: DISCARD, REFERENCE or ENCRYPTED_COPY.
    - learning: "auto" or "off".
    - partial: accept truncated pictures, with a note.
    - keep_feedback: keep the sums of `add_feedback`.
    - default_emphasis: weights of named blocks, 0 to 100, for searches without `emphasis`.
    """
    wanted = collections_pb.Collection(
        name=name, encoder_id=encoder_id, description=description, partial=partial, keep_feedback=keep_feedback,
        picture_policy=convert.to_policy(picture_policy), learning=convert.learning(learning),
        default_emphasis=default_emphasis,
    )  # fmt: skip
    request = collections_pb.CreateCollectionRequest(collection=wanted)
    return Call("CollectionService", "CreateCollection", request, _collection, retry_safe=False)


def get_collection(name: str) -> Call[Collection]:
    """Returns a collection with its counts."""
    request = collections_pb.GetCollectionRequest(name=name)
    return Call("CollectionService", "GetCollection", request, _collection)


def list_collections_page(page_token: str = "", page_size: int = 0) -> Call[tuple[list[Collection], str]]:
    """Returns a page of collections and the token of the next page (empty: none)."""
    request = collections_pb.ListCollectionsRequest(page_size=page_size, page_token=page_token)
    return Call(
        "CollectionService", "ListCollections", request,
        lambda r: ([convert.to_collection(c) for c in r.collections], r.next_page_token),
    )  # fmt: skip


def update_collection(
    name: str, *, description: str | None = None, learning: str = "", partial: bool | None = None,
    keep_feedback: bool | None = None, default_emphasis: Mapping[str, float] | None = None,
) -> Call[Collection]:  # fmt: skip
    """Changes the description, learning ("auto" or "off"), the use of truncated pictures, whether the sums of
    `add_feedback` are kept, or the weights of named blocks for searches without `emphasis` (empty: all 1). None:
    unchanged."""
    weights = None if default_emphasis is None else collections_pb.DefaultEmphasis(weights=default_emphasis)
    request = collections_pb.UpdateCollectionRequest(
        name=name, description=description, learning=convert.learning(learning), partial=partial,
        keep_feedback=keep_feedback, default_emphasis=weights,
    )  # fmt: skip
    return Call("CollectionService", "UpdateCollection", request, _collection)


def delete_collection(name: str, *, force: bool = False, with_snapshots: bool = False) -> Call[Deletion]:
    """Permanently deletes a collection. Without `force` it only reports what would be deleted.

    The kept snapshots remain, unless `with_snapshots` is set.
    """
    request = collections_pb.DeleteCollectionRequest(name=name, force=force, with_snapshots=with_snapshots)
    return Call(
        "CollectionService", "DeleteCollection", request,
        lambda r: Deletion(r.record_count, r.deleted, snapshot_count=r.snapshot_count),
        retry_safe=not force,
    )  # fmt: skip


def insert(
    collection: str, records: Sequence[NewRecord], *, insert_only: bool = False, split_objects: bool = False,
    max_objects: int = 0, timeout_s: float | None = None,
) -> Call[list[RecordResult]]:  # fmt: skip
    """Inserts or replaces up to 100 records. Returns one result each, in order. For more records, see `import_records`.

    - split_objects: insert each object in the picture of a record ID as a record of its own, `ID#1`, `ID#2` and so on,
      instead of the record. Earlier parts of it that are left over are deleted.
    - max_objects: of a record with `split_objects`, 1 to 32; 0: 16.

    Raises InvalidArgument, before anything is sent, if a value has an invalid type.
    """
    request = records_pb.InsertRecordsRequest(
        collection=collection, records=_messages(records, convert.record_input, "records"), insert_only=insert_only,
        split_objects=split_objects, max_objects=max_objects,
    )  # fmt: skip
    return Call("RecordService", "InsertRecords", request, _results, retry_safe=not insert_only, timeout_s=timeout_s)


def get_records(
    collection: str, record_ids: Sequence[str], *, include_vectors: bool = False
) -> Call[tuple[list[Record], list[str]]]:
    """Returns records by id, and the ids that do not exist."""
    request = records_pb.GetRecordsRequest(
        collection=collection, record_ids=checked_texts("record_ids", record_ids), include_vectors=include_vectors
    )
    return Call(
        "RecordService", "GetRecords", request,
        lambda r: ([convert.to_record(m) for m in r.records], list(r.missing_record_ids)),
    )  # fmt: skip


def list_records_page(
    collection: str, *, filter: str = "", page_token: str = "", page_size: int = 0, include_vectors: bool = False,
    order_by: str = "",
) -> Call[tuple[list[Record], str]]:  # fmt: skip
    """Returns a page of records and the token of the next page (empty: none).

    order_by: "price" or "price desc"; empty: the order of first insertion.
    """
    request = records_pb.ListRecordsRequest(
        collection=collection, filter=filter, page_token=page_token, page_size=page_size,
        include_vectors=include_vectors, order_by=order_by,
    )  # fmt: skip
    return Call(
        "RecordService", "ListRecords", request,
        lambda r: ([convert.to_record(m) for m in r.records], r.next_page_token),
    )  # fmt: skip


def sample_records(
    collection: str, count: int, *, filter: str = "", seed: int | None = None, exclude_record_ids: Sequence[str] = (),
    include_vectors: bool = False,
) -> Call[RecordSample]:  # fmt: skip
    """Returns up to 1,000 records, drawn uniformly from those that match, in random order.

    seed: 0 to 2**32 - 1. The same seed draws the same records while nothing is written. None: the server chooses one.
    """
    request = records_pb.SampleRecordsRequest(
        collection=collection, count=count, filter=filter, seed=seed, include_vectors=include_vectors,
        exclude_record_ids=checked_texts("exclude_record_ids", exclude_record_ids),
    )  # fmt: skip
    return Call("RecordService", "SampleRecords", request, convert.to_sample)


def update_records(collection: str, patches: Sequence[Patch]) -> Call[list[RecordResult]]:
    """Changes product ids and attributes, never vectors. Raises InvalidArgument if a value has an invalid type."""
    messages = _messages(patches, convert.record_patch, "patches")
    request = records_pb.UpdateRecordsRequest(collection=collection, patches=messages)
    return Call("RecordService", "UpdateRecords", request, _results)


def delete_records(
    collection: str, record_ids: Sequence[str] = (), *, filter: str = "", force: bool = False
) -> Call[Deletion]:
    """Deletes by ids or by filter. Without `force` it only reports what would be deleted."""
    request = records_pb.DeleteRecordsRequest(
        collection=collection, record_ids=checked_texts("record_ids", record_ids), filter=filter, force=force
    )
    return Call(
        "RecordService", "DeleteRecords", request,
        lambda r: Deletion(
            r.record_count, r.deleted, tuple(r.sample_record_ids), tuple(r.missing_record_ids),
            tuple(r.unknown_attributes), tuple(r.filter_hints),
        ),
    )  # fmt: skip


def check_filter(collection: str, filter: str) -> Call[FilterCheck]:
    """Returns the number of records that a filter matches, and warnings about the filter."""
    request = records_pb.CountRecordsRequest(collection=collection, filter=filter)
    return Call(
        "RecordService", "CountRecords", request,
        lambda r: FilterCheck(r.record_count, tuple(r.unknown_attributes), tuple(r.filter_hints)),
    )  # fmt: skip


def count_records(collection: str, filter: str = "") -> Call[int]:
    """Returns the number of matching records."""
    request = records_pb.CountRecordsRequest(collection=collection, filter=filter)
    return Call("RecordService", "CountRecords", request, lambda r: int(r.record_count))


def server_info() -> Call[ServerInfo]:
    """Returns version, limits, encoders and the scopes of the key."""
    return Call("ServerInfoService", "GetServerInfo", info_pb.GetServerInfoRequest(), convert.to_server_info)


def _messages(given: Sequence[Any], convert_one: Callable[[Any], Any], field: str) -> list[Any]:
    """Returns a message for each value. Raises InvalidArgument with the position of the first invalid one."""
    messages = []
    for place, one in enumerate(given):
        try:
            messages.append(convert_one(one))
        except InvalidArgument as error:
            name = getattr(one, "record_id", None)
            which = f"record {name!r}" if isinstance(name, str) else f"{field}[{place}]"
            raise invalid(f"{field}[{place}].{error.field}", f"{which}: {error.message}") from None
    return messages


def _collection(response: Any) -> Collection:
    return convert.to_collection(response.collection)


def _results(response: Any) -> list[RecordResult]:
    return [convert.to_result(m) for m in response.results]
