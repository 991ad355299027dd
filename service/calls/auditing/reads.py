"""What tenants that record reads are told of a call: its collections, and the fields of its filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from index import filter_fields
from service.audit.chain import Details
from service.calls.auditing.rule import short

Reads = Callable[[Any], Iterable[tuple[str, str]]]  # of the request: collections, and the filters they are read by


def read_collection(request: Any) -> Iterable[tuple[str, str]]:
    """Returns the collection of a read by ids."""
    return [(request.collection, "")]


def read_filtered(request: Any) -> Iterable[tuple[str, str]]:
    """Returns the collection and the filter of a read by a filter."""
    return [(request.collection, request.filter)]


def read_batch(request: Any) -> Iterable[tuple[str, str]]:
    """Returns the collections and filters of a batch of reads."""
    return [(search.collection, search.filter) for search in request.searches]


def read_two(request: Any) -> Iterable[tuple[str, str]]:
    """Returns the collections and filters of two reads."""
    return [(search.collection, search.filter) for search in (request.first, request.second)]


def read_details(name: str, reads: Reads, request: Any) -> list[Details]:
    """Returns the details of a read for tenants that record reads: the collection, the method, and the field names of
    the filter."""
    return [
        {
            "collection": short(collection), "call": name,
            "fields": ",".join(sorted(filter_fields(filter_text))),
        }
        for collection, filter_text in reads(request)
    ]  # fmt: skip
