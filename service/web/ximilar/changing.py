"""Inserts, updates and deletions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, TypeVar

from afterimage.v1.record_service_pb2 import (
    DeleteRecordsRequest,
    GetRecordsRequest,
    InsertRecordsRequest,
    RecordInput,
    RecordPatch,
    UpdateRecordsRequest,
)
from service.errors import Reason, ServiceError
from service.web.ximilar.answers import (
    DELETED,
    FOUND,
    FOUND_NONE,
    FOUND_SOME,
    INSERTED,
    INSERTED_NONE,
    INSERTED_SOME,
    Answer,
    Skipped,
    as_error,
    codes_of,
    record_status,
    skipped_records,
)
from service.web.ximilar.exchange import Exchange
from service.web.ximilar.links import with_links
from service.web.ximilar.mongo_filter import compile_filter
from service.web.ximilar.names import ID, Shown, shown_of
from service.web.ximilar.records import Batch, NoneLeftError, id_of, invalid, put_input, put_patch, records_of

_BatchT = TypeVar("_BatchT", bound=Batch)
_IGNORED_SWITCHES = ("extract_colors", "extract_tags")


class _Insert(Batch):
    shown: Shown
    ignored: tuple[str, ...] = ()


class _Update(Batch):
    shown: Shown
    with_pictures: bool = False


async def insert(exchange: Exchange) -> Answer:
    """Inserts records; ids that exist are skipped."""
    replace = exchange.parameter("upsert") == "1"
    try:
        job, response = await exchange.first(
            "RecordService/InsertRecords",
            functools.partial(_read_insert, exchange, replace),
        )
        results: Sequence[Any] = response.results
    except NoneLeftError as none:
        job, results = none.batch, ()  # type: ignore[assignment]
    records = []
    for record, result in zip(job.sent, results, strict=True):
        if result.HasField("error"):
            job.skipped.append(Skipped(result.record_id, as_error(result.error)))
        else:
            records.append({**job.shown.sent(record), ID: result.record_id, "_status": record_status()})
    fields = {
        "answer_records": records, "answer_count": len(records), "skipped_records": skipped_records(job.skipped),
    }  # fmt: skip
    remarks = tuple(f"{name} is ignored" for name in job.ignored)
    if not records:
        return _none(fields, job.skipped, (INSERTED_NONE, 409), Reason.RECORD_EXISTS)
    return Answer(fields, INSERTED_SOME if job.skipped else INSERTED, remarks=remarks)


async def update(exchange: Exchange) -> Answer:
    """Changes the metadata of records, never their vectors."""
    try:
        job, response = await exchange.first("RecordService/UpdateRecords", functools.partial(_read_update, exchange))
        results: Sequence[Any] = response.results
    except NoneLeftError as none:
        job, results = none.batch, ()  # type: ignore[assignment]
    ids = []
    for result in results:
        if result.HasField("error"):
            job.skipped.append(Skipped(result.record_id, as_error(result.error)))
        else:
            ids.append(result.record_id)
    remarks = ["pictures in an update are ignored"] if job.with_pictures else []
    records, remark = await _after_change(exchange, ids, job.shown)
    fields = {
        "answer_records": records, "answer_count": len(records), "skipped_records": skipped_records(job.skipped),
    }  # fmt: skip
    if not records:
        return _none(fields, job.skipped, (FOUND_NONE, 404), Reason.RECORD_NOT_FOUND)
    return Answer(fields, FOUND_SOME if job.skipped else FOUND, remarks=(*remarks, *remark))


async def delete(exchange: Exchange) -> Answer:
    """Deletes records by id."""
    try:
        job, response = await exchange.first("RecordService/DeleteRecords", functools.partial(_read_delete, exchange))
    except NoneLeftError as none:
        return _none(_deleted([], none.batch), none.batch.skipped, (FOUND_NONE, 404), Reason.RECORD_NOT_FOUND)
    missing = set(response.missing_record_ids)
    for record_id in response.missing_record_ids:
        job.skipped.append(Skipped(record_id, ServiceError(Reason.RECORD_NOT_FOUND, "the record does not exist")))
    there = [i for i in job.message.record_ids if i not in missing]
    fields = _deleted(there, job)
    if not there:
        return _none(fields, job.skipped, (FOUND_NONE, 404), Reason.RECORD_NOT_FOUND)
    return Answer(fields, DELETED)


async def delete_by_filter(exchange: Exchange) -> Answer:
    """Deletes all records that match a filter."""
    _, response = await exchange.first(
        "RecordService/DeleteRecords", functools.partial(_read_delete_by_filter, exchange)
    )
    return Answer({"answer_count": response.record_count}, DELETED, remarks=tuple(response.filter_hints))


def _read_insert(exchange: Exchange, replace: bool, body: dict[str, Any]) -> _Insert:
    request = InsertRecordsRequest(collection=exchange.collection, insert_only=not replace)
    job = _Insert(request)
    job.shown = shown_of(body)
    job.ignored = tuple(name for name in _IGNORED_SWITCHES if body.get(name))

    def add(record: dict[str, Any]) -> None:
        message = RecordInput()
        put_input(record, message)
        request.records.append(message)

    job.each(records_of(body), add)
    return _some(job, request.records)


def _read_update(exchange: Exchange, body: dict[str, Any]) -> _Update:
    request = UpdateRecordsRequest(collection=exchange.collection)
    job = _Update(request)
    job.shown = shown_of(body, ["*"])

    def add(record: dict[str, Any]) -> None:
        job.with_pictures = job.with_pictures or not record.keys().isdisjoint(("_url", "_base64"))
        record.pop("_base64", None)
        message = RecordPatch()
        put_patch(record, message)
        request.patches.append(message)

    job.each(records_of(body), add)
    return _some(job, request.patches)


def _read_delete(exchange: Exchange, body: dict[str, Any]) -> Batch:
    request = DeleteRecordsRequest(collection=exchange.collection, force=True)
    job = Batch(request)
    ids: dict[str, None] = {}
    job.each(records_of(body), lambda record: ids.setdefault(id_of(record)))
    request.record_ids.extend(ids)
    return _some(job, request.record_ids)


def _read_delete_by_filter(exchange: Exchange, body: dict[str, Any]) -> Batch:
    found = compile_filter(body.get("filter"))
    if not found.text:
        raise invalid("filter", "must not be empty")
    if found.excluded:
        raise invalid("filter", "cannot exclude ids here")
    return Batch(DeleteRecordsRequest(collection=exchange.collection, filter=found.text, force=True))


def _some(job: _BatchT, accepted: Sequence[Any]) -> _BatchT:
    if not accepted:
        raise NoneLeftError(job)
    return job


async def _after_change(exchange: Exchange, ids: list[str], shown: Shown) -> tuple[list[dict[str, Any]], list[str]]:
    """The records as they are now, and remarks."""
    if not ids or (shown.only_ids and not shown.links):
        return [{ID: i} for i in ids], []
    try:
        message = GetRecordsRequest(collection=exchange.collection, record_ids=ids)
        response = await exchange.call("RecordService/GetRecords", message)
    except ServiceError as error:
        if error.reason is not Reason.SCOPE_MISSING:
            raise
        return [{ID: i} for i in ids], ["only ids are returned: the key lacks the scope search"]
    return await with_links(exchange, exchange.collection, shown, [shown.record(r) for r in response.records])


def _deleted(ids: Sequence[str], job: Batch) -> dict[str, Any]:
    return {
        "answer_records": [{ID: i} for i in ids], "answer_count": len(ids),
        "skipped_records": skipped_records(job.skipped),
    }  # fmt: skip


def _none(fields: dict[str, Any], skipped: list[Skipped], codes: tuple[int, int], usual: Reason) -> Answer:
    """The answer where nothing was done. `codes`: if the reason is the usual one for every record."""
    other = next((s.error for s in skipped if s.error.reason is not usual), None)
    if other is None:
        return Answer(fields, *codes, remarks=(skipped[0].error.message,))
    return Answer(fields, *codes_of(other.reason), remarks=(other.message,), retry_delay_s=other.retry_delay_s)
