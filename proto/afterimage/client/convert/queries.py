"""What is searched for, and choices of a search."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Union

from afterimage.client.checks import checked_image, checked_sources, checked_text, is_url
from afterimage.client.convert.records import fill_source, from_region
from afterimage.client.errors import invalid
from afterimage.client.values import ImageSource, Picture, Term
from afterimage.v1 import search_service_pb2 as search_pb

# A picture, the URL of one, or terms.
Query = Union[ImageSource, str, Term, Sequence[Term]]


def query_terms(query: Query) -> list[search_pb.QueryTerm]:
    """Returns the messages of the terms of a query. Raises InvalidArgument for other types."""
    terms = query if isinstance(query, (list, tuple)) else [query]
    return [_query_term(_term(term)) for term in terms]


def _term(given: object) -> Term:
    if isinstance(given, Term):
        return given
    return Term(url=given) if isinstance(given, str) and is_url(given) else Term(image=checked_image(given, "query"))


def _query_term(term: Term) -> search_pb.QueryTerm:
    if isinstance(term.weight, bool) or not isinstance(term.weight, Real):
        raise invalid("query.weight", f"weight is of type {type(term.weight).__name__}; use a number")
    message = search_pb.QueryTerm(weight=float(term.weight))
    sources = {"image": term.image, "url": term.url, "record_id": term.record_id, "vector": term.vector}
    checked_sources({**sources, "search_id": term.search_id, "color": term.color, "text": term.text})
    if term.region is not None and term.image is None and not term.url:
        raise invalid("query.region", "a region can only be set with a picture, as image or url")
    if term.record_id:
        message.record_id = checked_text("record_id", term.record_id)
    elif term.search_id:
        message.search_id = checked_text("search_id", term.search_id)
    elif term.color:
        message.color = checked_text("color", term.color)
    elif term.text:
        message.text = checked_text("text", term.text)
    else:
        fill_source(message, term)
    return message


def picture_input(picture: Picture | ImageSource | str) -> search_pb.PictureInput:
    """Returns the message of a picture to process once; a text is its URL. Raises InvalidArgument."""
    given = picture if isinstance(picture, Picture) else _picture(picture)
    message = search_pb.PictureInput()
    if checked_sources({"image": given.image, "url": given.url}, optional=False) == "url":
        message.url = checked_text("url", given.url)
    else:
        message.image = checked_image(given.image)
    if given.region is not None:
        message.region.CopyFrom(from_region(given.region))
    return message


def _picture(given: ImageSource | str) -> Picture:
    if isinstance(given, str) and is_url(given):
        return Picture(url=given)
    return Picture(checked_image(given, "picture"))


def object_search(name: str) -> search_pb.ObjectSearch.ValueType:
    """Returns the enum value of "none" or "each". Raises InvalidArgument."""
    if name not in ("", "none", "each"):
        raise invalid("objects", f'objects is {name!r}; pass "each" or "none"')
    return search_pb.ObjectSearch.Value(f"OBJECT_SEARCH_{name.upper() or 'UNSPECIFIED'}")


def facet_over(name: str) -> search_pb.FacetOver.ValueType:
    """Returns the enum value for "matching" or "hits"; empty: unspecified. Raises InvalidArgument."""
    if name not in ("", "matching", "hits"):
        raise invalid("facet_over", f'facet_over is {name!r}; pass "matching" or "hits"')
    return search_pb.FacetOver.Value(f"FACET_OVER_{name.upper() or 'UNSPECIFIED'}")


def duplicates_request(
    collection: str, filter: str, max_distance: float | None, ignore_verdicts: bool, with_summary: bool
) -> search_pb.FindDuplicatesRequest:
    """Returns the request of a search for duplicates."""
    return search_pb.FindDuplicatesRequest(
        collection=collection, filter=filter, max_distance=max_distance, ignore_verdicts=ignore_verdicts,
        with_summary=with_summary,
    )  # fmt: skip
