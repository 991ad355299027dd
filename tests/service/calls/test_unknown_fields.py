"""Fields that this version does not know are found, however deep, by size as by looking at each part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from afterimage.v1 import search_service_pb2 as pb
from service.calls.unknown_fields import drop_unknown_fields, reject_unknown_fields
from service.errors import ServiceError

UNKNOWN = b"\xf8\x3f\x00"  # field 1023, a zero: as small as one can be
terms = st.builds(pb.QueryTerm, vector=st.binary(max_size=300), weight=st.none() | st.floats(width=32, allow_nan=False))
searches = st.builds(
    pb.SearchRequest,
    collection=st.text(max_size=5),
    k=st.integers(0, 300),
    query=st.lists(terms, max_size=2),
    exact=st.booleans(),
)


def is_refused(message: pb.BatchSearchRequest) -> bool:
    try:
        reject_unknown_fields(message)
    except ServiceError:
        return True
    return False


@given(st.lists(searches, max_size=3), st.integers(0, 3), st.integers(0, 20))
def test_what_is_dropped_is_what_is_refused(given_searches: list[pb.SearchRequest], depth: int, place: int) -> None:
    batch = pb.BatchSearchRequest(searches=given_searches)
    plain = batch.SerializeToString()
    parts = [batch, *batch.searches, *(term for search in batch.searches for term in search.query)]
    if depth:
        parts[place % len(parts)].MergeFromString(UNKNOWN)
    found = pb.BatchSearchRequest.FromString(batch.SerializeToString())
    assert drop_unknown_fields(found) == is_refused(batch) == bool(depth)
    assert found.SerializeToString() == plain
