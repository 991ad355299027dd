"""Searches by a picture or a record, near duplicates, and records by chance."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from afterimage.v1.collection_service_pb2 import GetCollectionRequest
from afterimage.v1.record_service_pb2 import SampleRecordsRequest
from afterimage.v1.search_service_pb2 import QueryTerm, SearchPath, SearchRequest
from afterimage.v1.server_info_service_pb2 import GetServerInfoRequest
from service.errors import Reason, ServiceError
from service.runtime.clock import Stopwatch
from service.web.ximilar.answers import Answer
from service.web.ximilar.bodies import integer, number
from service.web.ximilar.exchange import Exchange
from service.web.ximilar.links import with_links
from service.web.ximilar.mongo_filter import compile_filter
from service.web.ximilar.names import ID, Shown, shown_of
from service.web.ximilar.records import id_of, invalid, put_picture, records_of

MOST_HITS = 1000
_COLOURS, _COLOUR_BLOCK, _COLOUR_WEIGHT = "similarity/colors/v2", "colour", 20.0
_MOST_OFFSET = 10_000


@dataclass
class _Search:
    message: SearchRequest
    shown: Shown


@dataclass
class _Sample:
    message: SampleRecordsRequest
    shown: Shown


@dataclass(frozen=True)
class _Usual:
    """What a search does where the body says nothing. distance: the largest one; None: any."""

    k: int = 10
    distance: float | None = None
    emphasis: str = ""


async def search(exchange: Exchange) -> Answer:
    """The records nearest to a query."""
    emphasis = await _colour_block(exchange) if exchange.target.prefix == _COLOURS else ""
    return await _found(exchange, _Usual(emphasis=emphasis))


async def near_duplicates(exchange: Exchange) -> Answer:
    """The records within the encoder's near-duplicate distance."""
    encoder = await _encoder_of(exchange)
    distance = encoder.near_duplicate_distance if encoder is not None else -1.0
    return await _found(exchange, _Usual(MOST_HITS, distance))


async def random(exchange: Exchange) -> Answer:
    """Records by chance, each of those that match as likely as any other."""
    job, response = await exchange.first("RecordService/SampleRecords", functools.partial(_read_random, exchange))
    records, remarks = await _records(exchange, job, response.records)
    return Answer({"answer_records": records, "answer_count": len(records)}, remarks=(*remarks, *response.filter_hints))


def put_query(record: dict[str, Any], term: QueryTerm) -> None:
    """Fills a term of a search. Raises ServiceError (ARGUMENT_INVALID, SOURCE_MISSING)."""
    if record.get("_base64") is None and record.get("_url") is None and ID in record:
        term.record_id = id_of(record)
    else:
        put_picture(record, term)


def query_record_of(body: dict[str, Any]) -> dict[str, Any]:
    """The one query of a body. Raises ServiceError (ARGUMENT_INVALID)."""
    if body.get("query_record") is None and "records" not in body:
        raise invalid("query_record", "is missing")
    if body.get("query_record") is None:
        return records_of(body, most=1)[0]
    if type(body["query_record"]) is not dict:
        raise invalid("query_record", "must be an object")
    return body["query_record"]


async def _found(exchange: Exchange, usual: _Usual) -> Answer:
    by_score, watch = exchange.parameter("scale") == "score", Stopwatch()
    read = functools.partial(_read_search, exchange, usual, by_score)
    job, response = await exchange.first("SearchService/Search", read)
    records, remarks = await _records(exchange, job, response.hits)
    seconds = watch.seconds()
    scores = [hit.score for hit in response.hits]
    statistics = {
        "OperationTime": round(seconds * 1000, 1), "processing time": round(seconds, 4), "answer_scores": scores,
        "path": SearchPath.Name(response.path).removeprefix("SEARCH_PATH_").lower(),
        "learned_order": response.learned_order,
    }  # fmt: skip
    distances = [1.0 - s for s in scores] if by_score else [hit.distance for hit in response.hits]
    fields = {
        "answer_records": records, "answer_distances": distances, "answer_count": len(records),
        "statistics": statistics,
    }  # fmt: skip
    return Answer(fields, remarks=(*remarks, *response.filter_hints))


async def _records(
    exchange: Exchange, job: _Search | _Sample, found: Iterable[Any]
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    shown = [job.shown.record(one) for one in found]
    records, remarks = await with_links(exchange, job.message.collection, job.shown, shown)
    return records, tuple(remarks)


def _read_search(exchange: Exchange, usual: _Usual, by_score: bool, body: dict[str, Any]) -> _Search:
    message = SearchRequest(collection=exchange.collection)
    put_query(query_record_of(body), message.query.add())
    message.k = integer(body.get("k"), "k", usual.k, 1, MOST_HITS)
    message.offset = integer(body.get("from"), "from", 0, 0, _MOST_OFFSET)
    radius = number(body.get("radius"), "radius", 0.0, 1.0 if by_score else 2.0)
    if radius is not None and by_score:
        message.min_score = 1.0 - radius
    elif radius is not None or usual.distance is not None:
        message.max_distance = radius if radius is not None else _known(usual.distance)
    if usual.emphasis:
        message.emphasis[usual.emphasis] = _COLOUR_WEIGHT
    return _with_filter(message, body)


def _read_random(exchange: Exchange, body: dict[str, Any]) -> _Sample:
    count = integer(body.get("count"), "count", 10, 1, MOST_HITS)
    found, shown = compile_filter(body.get("filter")), shown_of(body)
    message = SampleRecordsRequest(collection=exchange.collection, count=count, filter=found.text)
    message.exclude_record_ids.extend(found.excluded)
    return _Sample(message, shown)


def _with_filter(message: SearchRequest, body: dict[str, Any]) -> _Search:
    found, shown = compile_filter(body.get("filter")), shown_of(body)
    message.filter = found.text
    message.exclude_record_ids.extend(found.excluded)
    message.fields.extend(shown.attributes())
    return _Search(message, shown)


def _known(distance: float | None) -> float:
    if distance is None or distance < 0:
        message = "the near-duplicate distance of this collection's encoder is not known here; send `radius`"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field="radius")
    return distance


async def _colour_block(exchange: Exchange) -> str:
    """The name of the encoder's colour block; empty if it has none."""
    encoder = await _encoder_of(exchange)
    return _COLOUR_BLOCK if encoder is not None and _COLOUR_BLOCK in encoder.blocks else ""


async def _encoder_of(exchange: Exchange) -> Any:
    """What the server says about the collection's encoder; None of a tenant's own model."""
    message = GetCollectionRequest(name=exchange.collection)
    found = await exchange.call("CollectionService/GetCollection", message)
    info = await exchange.call("ServerInfoService/GetServerInfo", GetServerInfoRequest())
    return next((e for e in info.encoders if e.id == found.collection.encoder_id), None)
