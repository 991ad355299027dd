"""Filters in MongoDB's syntax mean what they mean there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterimage.v1.record_service_pb2 import RecordInput
from index import Collection, RecordWrite
from index.vectors.filters.syntax import parse_filter
from service.errors import Reason, ServiceError
from service.handlers.conversion.values import to_attributes
from service.web.ximilar.mongo_filter import compile_filter
from service.web.ximilar.records import put_input
from tests.service.web.ximilar.mongo_oracle import FILTERS, matches, sample_documents
from tests.support.data import collections

_RECORDS = 50


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collection, dict[str, dict[str, Any]]]]:
    """A collection, and its documents by id."""
    by_id = {str(n): document for n, document in enumerate(sample_documents(1, _RECORDS))}
    tenant = collections.directory(tmp_path_factory.mktemp("mongo"))
    made = tenant.create(collections.SPEC)
    vector, writes = np.ones(collections.SPEC.dimension, np.float32), []
    for record_id, document in by_id.items():
        message = RecordInput()
        put_input({"_id": record_id, "_url": "https://shop.example/1", **document}, message)
        writes.append(RecordWrite(record_id, vector, message.product_id, to_attributes(message.attributes)))
    assert all(result.error is None for result in made.upsert(writes))
    yield made, by_id
    tenant.close()


@settings(max_examples=60, database=None)
@given(wanted=FILTERS)
def test_a_compiled_filter_matches_the_same_records(
    stored: tuple[Collection, dict[str, dict[str, Any]]], wanted: dict[str, Any]
) -> None:
    collection, by_id = stored
    text = compile_filter(wanted).text
    found = {record.record_id for record in collection.list(0, 1000, text)}
    assert found == {i for i, document in by_id.items() if matches(wanted, document)}, text


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({}, ""),
        (None, ""),
        ({"color": "red"}, 'color:"red"'),
        ({"a": 1, "b": True}, "a = 1.0 AND b = true"),
        ({"a": None}, "NOT a:*"),
        ({"a": {"$in": ["x", None]}}, 'a:"x" OR NOT a:*'),
        ({"a": {"$nin": ["x"]}}, 'NOT (a:"x")'),
        ({"$or": [{"a": "x", "b": "y"}, {"c": "z"}]}, '(a:"x" AND b:"y") OR c:"z"'),
        ({"a.b": {"$gte": 1, "$lt": 2}}, "a_b >= 1.0 AND a_b < 2.0"),
        ({"a": {"$regex": r"^x\.y"}}, 'a:"x.y*"'),
        ({"a": "50*\\"}, 'a:"50\\*\\\\"'),
    ],
)
def test_a_filter_is_written_plainly(wanted: Any, text: str) -> None:
    assert compile_filter(wanted).text == text


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"a": {"$where": "1"}}, "$where"),
        ({"$text": {}}, "$text"),
        ({"a": {"$elemMatch": {}}}, "$elemMatch"),
        ({"a": {"$regex": "x$"}}, "$regex"),
        ({"a": {"$regex": "^x.*y"}}, "$regex"),
        ({"a": {"$regex": "^x", "$options": "i"}}, "$options"),
        ({"a": {"$in": []}}, "$in"),
        ({"a": {"$nin": "x"}}, "$nin"),
        ({"a": {"$gt": None}}, "$gt"),
        ({"a": {"$eq": ["x"]}}, "$eq"),
        ({"a": {"$exists": "yes"}}, "$exists"),
        ({"$and": []}, "$and"),
        ({"$or": {}}, "$or"),
        ({"a": {}}, "object"),
        ({"a": {"b": 1}}, "object"),
        ({"a": {"$not": "x"}}, "$not"),
        ({"$or": [{}]}, "empty object"),
        ({"_id": "1"}, "_id"),
        ({"$or": [{"_id": {"$ne": "1"}}]}, "_id"),
        ({"_file": "x"}, "_file"),
        ({"a": {"$in": ["x"] * 257}}, "256"),
        ({"a": "x" * 9000}, "8192"),
        ([], "object"),
        ("color", "object"),
    ],
)
def test_a_filter_that_cannot_be_served_names_what_is_wrong(wanted: Any, told: str) -> None:
    with pytest.raises(ServiceError, match=r".") as caught:
        compile_filter(wanted)
    assert caught.value.reason is Reason.FILTER_INVALID
    assert told in caught.value.message


def test_ids_are_excluded_only_at_the_top() -> None:
    found = compile_filter({"_id": {"$nin": ["1", 2]}, "$and": [{"_id": {"$ne": "3"}}, {"a": "x"}]})
    assert (found.text, found.excluded) == ('a:"x"', ("1", "2", "3"))


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
)


@settings(max_examples=50, database=None)
@given(_JSON)
def test_any_json_is_a_filter_or_refused(wanted: Any) -> None:
    try:
        found = compile_filter(wanted).text
    except ServiceError as error:
        found = error.reason.name
    assert found == "FILTER_INVALID" or parse_filter(found) is not None or not wanted
