"""Orders records of a request by likeness to a query: pictures among themselves, or stored records."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

from afterimage.v1.collection_service_pb2 import GetCollectionRequest
from afterimage.v1.record_service_pb2 import GetRecordsRequest
from afterimage.v1.search_service_pb2 import PictureInput, QueryTerm, RankRequest, SearchRequest
from service.errors import Reason, ServiceError
from service.web.ximilar.answers import Answer, Skipped, as_error, skipped_records
from service.web.ximilar.bodies import integer, number
from service.web.ximilar.exchange import Exchange
from service.web.ximilar.names import ID, Shown, shown_of
from service.web.ximilar.records import MOST_RECORDS, invalid, put_picture, records_of, shown_id
from service.web.ximilar.searching import MOST_HITS, put_query, query_record_of


@dataclass
class _Rank:
    message: GetCollectionRequest
    shown: Shown
    k: int
    radius: float | None
    query: QueryTerm = field(default_factory=QueryTerm)
    by_id: list[str] = field(default_factory=list)
    pictures: list[PictureInput] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)  # of the pictures, in their order
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True)
class _Ranked:
    distance: float
    shown: dict[str, Any]


async def rank(exchange: Exchange) -> Answer:
    """The records of the request, nearest first."""
    read = functools.partial(_read, exchange)
    job, found = await exchange.first("CollectionService/GetCollection", read)
    ranked: list[_Ranked] = []
    if job.pictures:
        ranked += await _rank_pictures(exchange, job, found.collection.encoder_id)
    if job.by_id:
        ranked += await _rank_stored(exchange, job)
    ranked = [r for r in ranked if job.radius is None or r.distance <= job.radius]
    ranked = sorted(ranked, key=lambda r: r.distance)[: job.k]
    fields = {
        "answer_records": [r.shown for r in ranked], "answer_distances": [r.distance for r in ranked],
        "answer_count": len(ranked), "skipped_records": skipped_records(job.skipped),
    }  # fmt: skip
    return Answer(fields)


async def _rank_pictures(exchange: Exchange, job: _Rank, encoder_id: str) -> list[_Ranked]:
    message = RankRequest(encoder_id=encoder_id, pictures=job.pictures)
    kind = job.query.WhichOneof("source")
    if kind == "image":
        message.query.image = job.query.image
    else:
        message.query.url = job.query.url
    response = await exchange.call("SearchService/Rank", message)
    ranked = []
    for picture in response.ranked:
        record = job.sent[picture.index]
        if picture.HasField("error"):
            job.skipped.append(Skipped(shown_id(record), as_error(picture.error)))
        else:
            ranked.append(_Ranked(picture.distance, job.shown.sent(record)))
    return ranked


async def _rank_stored(exchange: Exchange, job: _Rank) -> list[_Ranked]:
    """Searches among the records of the request alone."""
    ids = list(dict.fromkeys(job.by_id))
    stored = await exchange.call(
        "RecordService/GetRecords", GetRecordsRequest(collection=job.message.name, record_ids=ids)
    )
    for record_id in stored.missing_record_ids:
        job.skipped.append(Skipped(record_id, ServiceError(Reason.RECORD_NOT_FOUND, "the record does not exist")))
    left = {record.record_id: record for record in stored.records}
    ranked = []
    if itself := left.pop(job.query.record_id, None):  # a search leaves its own record out
        ranked.append(_Ranked(0.0, job.shown.record(itself)))
    if not left:
        return ranked
    search = SearchRequest(collection=job.message.name, query=[job.query], k=len(left), fields=["-"])
    search.only_record_ids.extend(left)
    response = await exchange.call("SearchService/Search", search)
    ranked += [_Ranked(hit.distance, job.shown.record(left.pop(hit.record_id))) for hit in response.hits]
    for record_id in left:
        deleted = ServiceError(Reason.RECORD_NOT_FOUND, "the record was deleted meanwhile")
        job.skipped.append(Skipped(record_id, deleted))
    return ranked


def _read(exchange: Exchange, body: dict[str, Any]) -> _Rank:
    k = integer(body.get("k"), "k", MOST_RECORDS, 1, MOST_HITS)
    radius = number(body.get("radius"), "radius", 0.0, 2.0)
    job = _Rank(GetCollectionRequest(name=exchange.collection), shown_of(body, ["_id", "_url"]), k, radius)
    query = body.get("query_record")
    if query is None:
        raise invalid("query_record", "is missing")
    put_query(query_record_of(body), job.query)
    for record in records_of(body):
        if record.get("_base64") is None and record.get("_url") is None and shown_id(record):
            job.by_id.append(str(record[ID]))
            continue
        picture = PictureInput()
        try:
            put_picture(record, picture)
        except ServiceError as error:
            job.skipped.append(Skipped(shown_id(record), error))
        else:
            job.pictures.append(picture)
            job.sent.append(record)
    if job.pictures and job.query.WhichOneof("source") == "record_id":
        raise invalid("query_record", "by _id ranks records by _id alone; send its picture")
    return job
