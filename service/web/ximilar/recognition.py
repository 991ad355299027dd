"""Classification by the vote of nearest records, its tasks and labels, and vectors of pictures."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from afterimage.v1.collection_service_pb2 import GetCollectionRequest
from afterimage.v1.search_service_pb2 import ClassifyRequest, EncodeRequest, PictureInput, QueryTerm, SearchRequest
from afterimage.v1.server_info_service_pb2 import GetServerInfoRequest
from service.errors import Reason, ServiceError
from service.runtime.concurrency import gather_bounded
from service.web.ximilar.answers import Answer, as_error, record_status
from service.web.ximilar.exchange import Exchange
from service.web.ximilar.names import folded
from service.web.ximilar.records import invalid, put_picture, records_of
from service.web.ximilar.searching import put_query

_AT_ONCE = 4


@dataclass(frozen=True)
class _Task:
    collection: str
    attribute: str


@dataclass
class _Pictures:
    """Pictures of a request. terms: in the order of the records; an error where a record has none."""

    message: Any
    records: list[dict[str, Any]]
    terms: list[Any | ServiceError] = field(default_factory=list)
    task: _Task | None = None
    collection: str = ""
    encoder_id: str = ""


async def classify(exchange: Exchange) -> Answer:
    """The labels of pictures: values of an attribute, by the vote of the nearest records of a collection."""
    job, _ = await exchange.first("CollectionService/GetCollection", _read_classify)
    records = await gather_bounded(
        (_classified(exchange, job, record, term) for record, term in zip(job.records, job.terms, strict=True)),
        _AT_ONCE,
    )
    assert job.task is not None
    return Answer({"task_id": f"{job.task.collection}:{job.task.attribute}", "records": records})


async def task(exchange: Exchange) -> Answer:
    """A collection and an attribute, as a task that is trained."""
    name, wanted = exchange.target.name, _task_of(exchange.target.name)
    message = GetCollectionRequest(name=wanted.collection)
    found = await exchange.call("CollectionService/GetCollection", message)
    return Answer({
        "id": name, "name": name, "type": "multi_class", "production_version": 1, "workspace": "Default",
        "description": found.collection.description, "last_train_status": "trained",
    })  # fmt: skip


async def labels(exchange: Exchange) -> Answer:
    """The values of a task's attribute, the most frequent first: a hundred at most."""
    if not (name := exchange.parameter("task")):
        raise ServiceError(Reason.CALL_NOT_SERVED, "labels without a task are not served by Afterimage; see the page")
    wanted = _task_of(name)
    message = GetCollectionRequest(name=wanted.collection)
    found = await exchange.call("CollectionService/GetCollection", message)
    query = QueryTerm(vector=_any_vector(found.collection.dimension))  # only the facet is wanted
    search = SearchRequest(collection=wanted.collection, query=[query], k=1, fields=["-"], facets=[wanted.attribute])
    response = await exchange.call("SearchService/Search", search)
    values = [_label(count) for facet in response.facets for count in facet.counts]
    results = [{"id": v, "name": v, "type": "category", "workspace": "Default"} for v in values]
    return Answer({"count": len(results), "next": None, "previous": None, "results": results})


def _any_vector(dimension: int) -> bytes:
    return np.random.default_rng().standard_normal(dimension).astype("<f4").tobytes()


async def descriptor(exchange: Exchange) -> Answer:
    """The vectors of pictures; `collection` names a collection, `task_id` an encoder."""
    job, _ = await exchange.first("ServerInfoService/GetServerInfo", functools.partial(_read_descriptor, exchange))
    if job.collection:
        message = GetCollectionRequest(name=job.collection)
        found = await exchange.call("CollectionService/GetCollection", message)
        job.encoder_id = found.collection.encoder_id
    pictures = [term for term in job.terms if not isinstance(term, ServiceError)]
    encoded: list[Any] = []
    if pictures:
        request = EncodeRequest(encoder_id=job.encoder_id, pictures=pictures)
        encoded = list((await exchange.call("SearchService/Encode", request)).pictures)
    found_one = iter(encoded)
    records = []
    for record, term in zip(job.records, job.terms, strict=True):
        error = term if isinstance(term, ServiceError) else None
        vector = None
        if error is None:
            picture = next(found_one)
            error = as_error(picture.error) if picture.HasField("error") else None
            vector = np.frombuffer(picture.vector, "<f4") if error is None else None
        records.append({
            **_echo(record), "_status": record_status(error), **({} if vector is None else {"_descriptor": vector}),
        })  # fmt: skip
    return Answer({"records": records})


async def _classified(exchange: Exchange, job: _Pictures, record: dict[str, Any], term: Any) -> dict[str, Any]:
    assert job.task is not None
    if not isinstance(term, ServiceError):
        request = ClassifyRequest(collection=job.task.collection, query=[term], attribute=job.task.attribute)
        try:
            response = await exchange.call("SearchService/Classify", request)
        except ServiceError as error:
            if error.reason in (Reason.SCOPE_MISSING, Reason.COLLECTION_NOT_FOUND):
                raise
            term = error
        else:
            found = [{"id": v.value, "name": v.value, "prob": v.confidence} for v in response.labels]
            return {
                **_echo(record), "_status": record_status(), "labels": found,
                "best_label": found[0] if found else None,
            }  # fmt: skip
    return {**_echo(record), "_status": record_status(term), "labels": [], "best_label": None}


def _read_classify(body: dict[str, Any]) -> _Pictures:
    given = body.get("task_id")
    if type(given) is not str:
        raise invalid("task_id", "must be <collection>:<attribute>")
    wanted = _task_of(given)
    job = _Pictures(GetCollectionRequest(name=wanted.collection), records_of(body), task=wanted)
    job.terms = [_read_picture(record, QueryTerm()) for record in job.records]
    return job


def _read_descriptor(exchange: Exchange, body: dict[str, Any]) -> _Pictures:
    job = _Pictures(GetServerInfoRequest(), records_of(body))
    for name in ("task_id", "collection"):
        if body.get(name) is not None and type(body[name]) is not str:
            raise invalid(name, "must be a text")
    job.encoder_id, job.collection = body.get("task_id") or "", body.get("collection") or ""
    if not job.encoder_id and not job.collection:
        job.collection = exchange.header_collection
    job.terms = [_read_picture(record, PictureInput()) for record in job.records]
    return job


def _read_picture(record: dict[str, Any], message: Any) -> Any | ServiceError:
    try:
        if isinstance(message, QueryTerm):
            put_query(record, message)
        else:
            put_picture(record, message)
    except ServiceError as error:
        return error
    return message


def _task_of(task_id: str) -> _Task:
    collection, colon, attribute = task_id.partition(":")
    if not colon or not collection or not attribute:
        raise ServiceError(Reason.COLLECTION_NOT_FOUND, "there is no such task; a task is <collection>:<attribute>")
    return _Task(collection, folded(attribute))


def _label(count: Any) -> str:
    kind = count.WhichOneof("value")
    return str(count.string_value) if kind == "string_value" else str(count.bool_value).lower()


def _echo(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it was sent, without its picture, which is not there any more."""
    return {name: value for name, value in record.items() if name not in ("_file", "_base64", "_img_data")}
