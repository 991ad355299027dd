"""Records by id, by page, and all at once."""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from afterimage.v1.record_service_pb2 import CountRecordsRequest, GetRecordsRequest, ListRecordsRequest
from service.errors import Reason, ServiceError
from service.web.ximilar.answers import (
    FOUND,
    FOUND_NONE,
    FOUND_SOME,
    Answer,
    RecordStream,
    Skipped,
    skipped_records,
)
from service.web.ximilar.bodies import from_query
from service.web.ximilar.exchange import Exchange
from service.web.ximilar.links import with_links
from service.web.ximilar.mongo_filter import compile_filter
from service.web.ximilar.names import Shown, shown_of
from service.web.ximilar.records import Batch, NoneLeftError, id_of, invalid, records_of

_PAGE, _MOST_AT_ONCE, _MOST_PAGE_NUMBER = 1000, 100_000, 2**31 - 1
_MOST_WALKED = 1_000_000
_WAIT_S, _WAITS = 5.0, 12  # for a tenant's rate, in the middle of a stream
_LIST, _COUNT = "RecordService/ListRecords", "RecordService/CountRecords"


class PageTokens:
    """Where pages begin, so that a client that reads page after page does not make the server walk there again. For
    one event loop."""

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._tokens: OrderedDict[tuple[int, str, str, int], str] = OrderedDict()

    def note(self, caller: int, listed: ListRecordsRequest, offset: int, token: str) -> None:
        """`offset`: number of records before the page that the token begins."""
        self._tokens[caller, listed.collection, listed.filter, offset] = token
        if len(self._tokens) > self._most:
            self._tokens.popitem(last=False)

    def find(self, caller: int, listed: ListRecordsRequest, offset: int) -> str | None:
        """The token of a page; None if it is not known."""
        key = (caller, listed.collection, listed.filter, offset)
        if key in self._tokens:
            self._tokens.move_to_end(key)
        return self._tokens.get(key)


class _Get(Batch):
    shown: Shown


@dataclass
class _List:
    message: Any  # of the first call
    listed: ListRecordsRequest
    shown: Shown
    offset: int = 0


async def get(exchange: Exchange) -> Answer:
    """Records by id."""
    try:
        job, response = await exchange.first("RecordService/GetRecords", functools.partial(_read_get, exchange))
    except NoneLeftError as none:
        fields = {"answer_records": [], "answer_count": 0, "skipped_records": skipped_records(none.batch.skipped)}
        return Answer(fields, 400, 400, (none.batch.skipped[0].error.message,))
    for record_id in response.missing_record_ids:
        job.skipped.append(Skipped(record_id, ServiceError(Reason.RECORD_NOT_FOUND, "the record does not exist")))
    shown = [job.shown.record(record) for record in response.records]
    records, remarks = await with_links(exchange, exchange.collection, job.shown, shown)
    fields = {
        "answer_records": records, "answer_count": len(records), "skipped_records": skipped_records(job.skipped),
    }  # fmt: skip
    if not records:
        return Answer(fields, FOUND_NONE, 404, ("none of the records exists",))
    return Answer(fields, FOUND_SOME if job.skipped else FOUND, remarks=tuple(remarks))


class Listing:
    """`allRecords`: pages with `size`, and everything without."""

    def __init__(self) -> None:
        self._tokens = PageTokens()

    async def all_records(self, exchange: Exchange) -> Answer | RecordStream:
        """A page, or all records as a stream."""
        if from_query(exchange.parameter("size"), "size", 0, 0, _PAGE) == 0:
            return await _everything(exchange)
        return await self._page(exchange)

    async def _page(self, exchange: Exchange) -> Answer:
        job, response = await exchange.first(_LIST, functools.partial(self._read_page, exchange))
        if job.listed is not job.message:  # the page's place is not known; the first call read the first page alone
            found = await self._walk(exchange, job)
            response = await exchange.call(_LIST, found) if found is not None else None
        shown = [job.shown.record(record) for record in response.records] if response is not None else []
        records, remarks = await with_links(exchange, exchange.collection, job.shown, shown)
        fields: dict[str, Any] = {"answer_records": records, "answer_count": len(records)}
        if response is not None and response.next_page_token:
            offset = job.offset + len(records)
            self._tokens.note(exchange.caller_hash, job.listed, offset, response.next_page_token)
            fields["next"] = offset // job.listed.page_size + 1
        return Answer(fields, remarks=tuple(remarks))

    def _read_page(self, exchange: Exchange, body: dict[str, Any]) -> _List:
        size = from_query(exchange.parameter("size"), "size", 0, 1, _PAGE)
        page = from_query(exchange.parameter("page"), "page", 1, 1, _MOST_PAGE_NUMBER)
        listed, shown = _read_list(exchange, body, size)
        offset = (page - 1) * size
        token = self._tokens.find(exchange.caller_hash, listed, offset) if offset else ""
        if token is not None:
            listed.page_token = token
            return _List(listed, listed, shown, offset)
        return _List(ListRecordsRequest(collection=listed.collection, page_size=1), listed, shown, offset)

    async def _walk(self, exchange: Exchange, job: _List) -> ListRecordsRequest | None:
        """The request of the page; None if it is beyond the end. Raises ServiceError (ARGUMENT_INVALID)."""
        listed = job.listed
        count = await exchange.call(_COUNT, CountRecordsRequest(collection=listed.collection, filter=listed.filter))
        if job.offset >= count.record_count:
            return None
        if job.offset > _MOST_WALKED:
            raise invalid("page", "is too far; read the pages in order")
        walked = 0
        step = ListRecordsRequest(collection=listed.collection, filter=listed.filter)
        while walked < job.offset:
            step.page_size = min(_PAGE, job.offset - walked)
            response = await exchange.call(_LIST, step)
            walked += len(response.records)
            if not response.next_page_token:
                return None
            step.page_token = response.next_page_token
        listed.page_token = step.page_token
        return listed


async def _everything(exchange: Exchange) -> RecordStream:
    job, response = await exchange.first(_COUNT, functools.partial(_read_count, exchange))
    if response.record_count > _MOST_AT_ONCE:
        message = f"there are {response.record_count} records, more than {_MOST_AT_ONCE}; use size and page"
        raise ServiceError(Reason.BODY_TOO_LARGE, message)
    return RecordStream(_batches(exchange, job))


async def _batches(exchange: Exchange, job: _List) -> AsyncIterator[list[dict[str, Any]]]:
    listed = job.listed
    while True:
        response = await _patiently(exchange, listed)
        yield [job.shown.record(record) for record in response.records]
        if not response.next_page_token:
            return
        listed.page_token = response.next_page_token


async def _patiently(exchange: Exchange, listed: ListRecordsRequest) -> Any:
    """A page; waits where the tenant's rate is exceeded, as the response has begun."""
    for attempt in range(_WAITS + 1):
        try:
            return await exchange.call(_LIST, listed)
        except ServiceError as error:
            if error.retry_delay_s is None or attempt == _WAITS:
                raise
            await asyncio.sleep(min(_WAIT_S, error.retry_delay_s))
    raise AssertionError


def _read_get(exchange: Exchange, body: dict[str, Any]) -> _Get:
    request = GetRecordsRequest(collection=exchange.collection)
    job = _Get(request)
    job.shown = shown_of(body)
    ids: dict[str, None] = {}
    job.each(records_of(body), lambda record: ids.setdefault(id_of(record)))
    if not ids:
        raise NoneLeftError(job)
    request.record_ids.extend(ids)
    return job


def _read_count(exchange: Exchange, body: dict[str, Any]) -> _List:
    listed, shown = _read_list(exchange, body, _PAGE)
    return _List(CountRecordsRequest(collection=listed.collection, filter=listed.filter), listed, shown)


def _read_list(exchange: Exchange, body: dict[str, Any], size: int) -> tuple[ListRecordsRequest, Shown]:
    found = compile_filter(body.get("filter"))
    if found.excluded:
        raise invalid("filter", "cannot exclude ids here")
    return ListRecordsRequest(collection=exchange.collection, filter=found.text, page_size=size), shown_of(body)
