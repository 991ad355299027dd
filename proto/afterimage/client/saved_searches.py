"""Calls about saved searches. See `calls`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timezone
from typing import Any

from afterimage.client import convert
from afterimage.client.calls import Call
from afterimage.client.checks import checked_text
from afterimage.client.errors import invalid
from afterimage.client.searches import boost_value, facet_over_name, object_search_name, search
from afterimage.client.values import SavedSearch, SearchParameter
from afterimage.v1 import saved_search_service_pb2 as pb
from afterimage.v1 import search_service_pb2 as search_pb

_SERVICE = "SavedSearchService"
_TYPES: dict[str, pb.ParameterType.ValueType] = {
    "string": pb.PARAMETER_TYPE_STRING, "number": pb.PARAMETER_TYPE_NUMBER, "boolean": pb.PARAMETER_TYPE_BOOLEAN,
}  # fmt: skip
_NAMES = {value: name for name, value in _TYPES.items()}


def create_saved_search(
    collection: str, name: str, options: Mapping[str, object], *,
    parameters: Mapping[str, SearchParameter] | None = None, description: str = "",
) -> Call[SavedSearch]:  # fmt: skip
    """Keeps a search under a name, for `search(…, saved_search=name)`.

    - options: arguments of `search`, such as {"filter": "brand != $brand", "diversity": 0.3}.
    - parameters: what the filters contain as `$name`, each a SearchParameter.
    """
    request = pb.CreateSavedSearchRequest(
        collection=collection, saved_search=_message(name, options, parameters, description)
    )
    return Call(_SERVICE, "CreateSavedSearch", request, _saved, retry_safe=False)


def update_saved_search(
    collection: str, name: str, options: Mapping[str, object], *,
    parameters: Mapping[str, SearchParameter] | None = None, description: str = "", etag: str = "",
) -> Call[SavedSearch]:  # fmt: skip
    """Replaces a saved search by a new version. etag: of the version that is meant; empty: whichever there is."""
    message = _message(name, options, parameters, description)
    message.etag = etag
    request = pb.UpdateSavedSearchRequest(collection=collection, saved_search=message)
    return Call(_SERVICE, "UpdateSavedSearch", request, _saved, retry_safe=False)


def get_saved_search(collection: str, name: str, *, version: int = 0) -> Call[SavedSearch]:
    """Returns a saved search. version: 0: the newest."""
    request = pb.GetSavedSearchRequest(collection=collection, name=name, version=version)
    return Call(_SERVICE, "GetSavedSearch", request, _saved)


def list_saved_searches_page(
    collection: str, page_token: str = "", page_size: int = 0
) -> Call[tuple[list[SavedSearch], str]]:
    """Returns a page of saved searches, ordered by name, and the token of the next page (empty: none)."""
    request = pb.ListSavedSearchesRequest(collection=collection, page_token=page_token, page_size=page_size)
    return Call(
        _SERVICE, "ListSavedSearches", request,
        lambda r: ([_to_saved(m) for m in r.saved_searches], r.next_page_token),
    )  # fmt: skip


def saved_search_versions(collection: str, name: str) -> Call[list[SavedSearch]]:
    """Returns the kept versions of a saved search, newest first."""
    request = pb.ListSavedSearchVersionsRequest(collection=collection, name=name)
    return Call(_SERVICE, "ListSavedSearchVersions", request, lambda r: [_to_saved(m) for m in r.versions])


def restore_saved_search(collection: str, name: str, version: int, *, etag: str = "") -> Call[SavedSearch]:
    """Makes an earlier version the newest one again, as a new version."""
    request = pb.RestoreSavedSearchRequest(collection=collection, name=name, version=version, etag=etag)
    return Call(_SERVICE, "RestoreSavedSearch", request, _saved, retry_safe=False)


def delete_saved_search(collection: str, name: str, *, etag: str = "") -> Call[int]:
    """Deletes a saved search. Returns how many versions it had."""
    request = pb.DeleteSavedSearchRequest(collection=collection, name=name, etag=etag)
    return Call(_SERVICE, "DeleteSavedSearch", request, lambda r: int(r.version_count), retry_safe=False)


def _message(
    name: str, options: Mapping[str, object], parameters: Mapping[str, SearchParameter] | None, description: str
) -> pb.SavedSearch:
    if not isinstance(options, Mapping):
        raise invalid("options", 'options is no mapping; pass arguments of search, such as {"diversity": 0.3}')
    arguments: dict[str, Any] = dict(options)
    request: search_pb.SearchRequest = search("", (), **arguments).request
    if "k" not in options:
        request.ClearField("k")
    message = pb.SavedSearch(name=name, search=request, description=description)
    for key, parameter in (parameters or {}).items():
        message.parameters[checked_text("parameters", key)].CopyFrom(_parameter(parameter))
    return message


def _parameter(given: SearchParameter) -> pb.SearchParameter:
    if not isinstance(given, SearchParameter):
        raise invalid("parameters", 'a parameter is no SearchParameter; pass SearchParameter("string")')
    if given.type not in _TYPES:
        raise invalid("parameters.type", f"type is {given.type!r}; pass {', '.join(_TYPES)}")
    message = pb.SearchParameter(type=_TYPES[given.type], description=given.description)
    if given.default is not None:
        message.default_value.CopyFrom(convert.attribute_value("parameters", given.default))
    return message


def _saved(response: Any) -> SavedSearch:
    return _to_saved(response.saved_search, tuple(getattr(response, "filter_hints", ())))


def _to_saved(message: pb.SavedSearch, hints: tuple[str, ...] = ()) -> SavedSearch:
    parameters = {name: _to_parameter(p) for name, p in sorted(message.parameters.items())}
    return SavedSearch(
        message.name, _options(message.search), parameters, message.description, message.version, message.etag,
        message.create_time.ToDatetime(timezone.utc), message.update_time.ToDatetime(timezone.utc), hints,
    )  # fmt: skip


def _to_parameter(message: pb.SearchParameter) -> SearchParameter:
    default = convert.to_attribute_value(message.default_value) if message.HasField("default_value") else None
    return SearchParameter(_NAMES.get(message.type, ""), default, message.description)  # type: ignore[arg-type]


def _options(request: search_pb.SearchRequest) -> dict[str, object]:
    """Returns the arguments of `search` that make the request."""
    options: dict[str, object] = {}
    for field, value in request.ListFields():
        if field.name == "boosts":
            options["boosts"] = [boost_value(b) for b in request.boosts]
        elif field.name == "objects":
            options["objects"] = object_search_name(request.objects)
        elif field.name == "facet_over":
            options["facet_over"] = facet_over_name(request.facet_over)
        elif field.name == "emphasis":
            options["emphasis"] = dict(request.emphasis)
        elif field.name in ("exclude_record_ids", "only_record_ids", "fields", "facets"):
            options[field.name] = list(value)
        else:
            options[field.name] = value
    return options
