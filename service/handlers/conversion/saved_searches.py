"""Messages of SavedSearchService, and what a saved search adds to a search."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

from afterimage.v1 import saved_search_service_pb2 as pb
from afterimage.v1 import search_service_pb2 as search_pb
from afterimage.v1 import types_pb2 as types_pb
from index import ParameterValue, SavedSearch, check_attribute_name, check_filter, fill_filter, filter_parameters
from service.engine.faults import translated_errors
from service.errors import ServiceError
from service.handlers.conversion.values import check_most, invalid, timestamp
from service.handlers.request_limits import DEFAULT_SAVED_K, MAX_PARAMETERS

# Fields that only the search itself has: whoever saves a search hands out neither pictures nor vectors by it.
_OF_THE_CALL = (
    "collection", "query", "include_vectors", "saved_search", "saved_search_version", "parameters",
    "saved_search_without", "feedback", "with_search_id",
)  # fmt: skip
_SAVED = tuple(f.name for f in search_pb.SearchRequest.DESCRIPTOR.fields if f.name not in _OF_THE_CALL)
_KINDS = {
    pb.PARAMETER_TYPE_STRING: "string_value", pb.PARAMETER_TYPE_NUMBER: "number_value",
    pb.PARAMETER_TYPE_BOOLEAN: "bool_value",
}  # fmt: skip
_SAMPLES: dict[str, ParameterValue] = {"string_value": "sample", "number_value": 1.0, "bool_value": True}
_KIND_NAMES = {"string_value": "string", "number_value": "number", "bool_value": "boolean"}
_SHOWN = 80


def to_content(saved: pb.SavedSearch) -> bytes:
    """Returns what is stored of a saved search. Raises ServiceError (ARGUMENT_INVALID, FILTER_INVALID)."""
    check_most("saved_search.parameters", len(saved.parameters), MAX_PARAMETERS)
    for field, _ in saved.search.ListFields():
        if field.name in _OF_THE_CALL:
            raise invalid(f"saved_search.search.{field.name}", f"{field.name} cannot be saved; each search sets it")
    used = frozenset().union(*(_parameters_of(text) for text in _filters(saved.search)))
    for name, parameter in saved.parameters.items():
        _check_parameter(name, parameter)
        if name not in used:
            raise _wrong(name, f"no filter contains ${name}")
    if missing := sorted(used - set(saved.parameters)):
        raise _wrong(missing[0], f"a filter contains ${missing[0]}, which is not among the parameters")
    kept = pb.SavedSearch(description=saved.description, search=saved.search, parameters=saved.parameters)
    return kept.SerializeToString(deterministic=True)


def from_saved(saved: SavedSearch) -> pb.SavedSearch:
    """Returns the message of a stored version."""
    message = pb.SavedSearch()
    message.CopyFrom(_parsed(saved.content))
    message.name, message.version, message.etag = saved.name, saved.version, saved.etag
    message.create_time.CopyFrom(timestamp(saved.created_ms))
    message.update_time.CopyFrom(timestamp(saved.saved_ms))
    return message


def sample_search(content: bytes) -> search_pb.SearchRequest:
    """Returns a search without a query, with the defaults of the parameters, or with samples of their types."""
    saved, request = _parsed(content), search_pb.SearchRequest(saved_search="sample")
    for name, parameter in saved.parameters.items():
        if not parameter.HasField("default_value"):
            kind = _KINDS[parameter.type]
            setattr(request.parameters[name], kind, _SAMPLES[kind])
    fill_in(request, content)
    return request


def filters_of(request: search_pb.SearchRequest) -> list[str]:
    """Returns the filter of a search and those of its boosts."""
    return list(_filters(request))


def fill_in(request: search_pb.SearchRequest, content: bytes) -> None:
    """Adds to a search, in place, what the stored content of its saved search says and the search does not.

    Raises ServiceError (ARGUMENT_INVALID, FILTER_INVALID) for parameters that are missing, unknown or of another type.
    """
    saved = _parsed(content)
    template = search_pb.SearchRequest()
    template.CopyFrom(saved.search)
    for name in request.saved_search_without:
        if name not in _SAVED:
            raise invalid("saved_search_without", f"{name[:_SHOWN]!r} is not a field of a saved search")
        template.ClearField(name)  # type: ignore[arg-type]
    excluded = list(dict.fromkeys([*template.exclude_record_ids, *request.exclude_record_ids]))
    for field, _ in request.ListFields():
        if field.name != "filter":
            template.ClearField(field.name)  # type: ignore[arg-type]
    values = _values(saved.parameters, request.parameters)
    with translated_errors():
        check_filter(request.filter)  # alone, so that it can only narrow the other one
        narrowed = _both(fill_filter(template.filter, values), request.filter)
        for boost in template.boosts:
            if boost.filter:
                boost.filter = fill_filter(boost.filter, values)
    request.MergeFrom(template)
    request.filter, request.k = narrowed, request.k or DEFAULT_SAVED_K
    request.exclude_record_ids[:] = excluded


def _filters(request: search_pb.SearchRequest) -> Iterable[str]:
    yield request.filter
    yield from (boost.filter for boost in request.boosts)


def _both(first: str, second: str) -> str:
    given = [text for text in (first, second) if text.strip()]
    return " AND ".join(f"({text})" for text in given) if len(given) > 1 else "".join(given)


def _parameters_of(text: str) -> frozenset[str]:
    with translated_errors():
        return filter_parameters(text)


def _check_parameter(name: str, parameter: pb.SearchParameter) -> None:
    with translated_errors():
        check_attribute_name(name)
    if parameter.type not in _KINDS:
        raise _wrong(name, f"parameter {name} has no type")
    if parameter.HasField("default_value"):
        _value(name, parameter, parameter.default_value)


def _values(
    declared: Mapping[str, pb.SearchParameter], given: Mapping[str, types_pb.AttributeValue]
) -> dict[str, ParameterValue]:
    for name in given:
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise invalid(
                f"parameters.{name[:_SHOWN]}", f"the saved search has no parameter {name[:_SHOWN]!r}; it has: {known}"
            )
    values = {}
    for name, parameter in declared.items():
        if name in given:
            values[name] = _value(name, parameter, given[name])
        elif parameter.HasField("default_value"):
            values[name] = _value(name, parameter, parameter.default_value)
    return values


def _value(name: str, parameter: pb.SearchParameter, value: types_pb.AttributeValue) -> ParameterValue:
    kind = _KINDS[parameter.type]
    if value.WhichOneof("kind") != kind:
        raise invalid(f"parameters.{name}", f"the parameter {name!r} is a {_KIND_NAMES[kind]}")
    found: ParameterValue = getattr(value, kind)
    if isinstance(found, float) and not math.isfinite(found):
        raise invalid(f"parameters.{name}", f"the parameter {name!r} is not a finite number")
    return found


def _wrong(name: str, message: str) -> ServiceError:
    return invalid(f"saved_search.parameters.{name[:_SHOWN]}", message)


@lru_cache(maxsize=256)
def _parsed(content: bytes) -> pb.SavedSearch:
    """The message of a stored content. It must not be changed."""
    return pb.SavedSearch.FromString(content)
