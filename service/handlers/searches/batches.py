"""Parts of a batch of searches, each of which fails alone."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from afterimage.v1 import search_service_pb2 as pb
from index import Collection, SearchAnswer, SearchQuery
from service.calls.error_details import to_record_error
from service.engine.faults import as_service_error
from service.errors import ServiceError, release_frames
from service.handlers.searches.search_report import search
from service.runtime.deadline import remaining_s
from service.tuning.calibration import Calibration

T = TypeVar("T")


def search_all(
    wanted: Sequence[tuple[Collection, SearchQuery, Calibration]],
) -> list[SearchAnswer | Exception]:
    """The answers of searches that are counted, or what they raise. Raises TimeoutError once the call has no time
    left. For threads."""
    answers: list[SearchAnswer | Exception] = []
    for collection, query, calibration in wanted:
        if remaining_s() <= 0:
            raise TimeoutError
        try:
            answers.append(search(collection, query, calibration))
        except Exception as error:
            answers.append(error)
    return answers


async def or_error(work: Awaitable[T]) -> T | ServiceError:
    """What is awaited, or the error that it raises."""
    try:
        return await work
    except Exception as failure:
        error = as_service_error(failure)
        release_frames(failure)
        return error


def encoded_result(result: pb.SearchResult) -> bytes:
    """The field `results` of a BatchSearchResponse with this one."""
    return pb.BatchSearchResponse(results=[result]).SerializeToString()


def to_result(found: pb.SearchResponse | ServiceError) -> pb.SearchResult:
    """The message of a search of a batch."""
    if isinstance(found, ServiceError):
        return pb.SearchResult(error=to_record_error(found))
    return pb.SearchResult(response=found)
