"""Records of Ximilar's become records of Afterimage, and come back under the names that were asked for."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterimage.v1.record_service_pb2 import RecordInput, RecordPatch
from afterimage.v1.types_pb2 import Record
from service.errors import Reason, ServiceError
from service.web.ximilar.bodies import read_object
from service.web.ximilar.names import folded, plain, shown_of
from service.web.ximilar.records import attributes_of, put_input, put_patch

PICTURE = b"\x89PNG\x00"
TEXT = base64.b64encode(PICTURE).decode()


def to_input(**fields: Any) -> RecordInput:
    message = RecordInput()
    put_input({"_id": "1", "_base64": TEXT, **fields}, message)
    return message


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("color", "color"), ("Meta-Category X", "meta_category_x"), ("size.eu", "size_eu"), ("9lives", "x_9lives"),
        ("_odd", "x__odd"), ("", "x_"), ("größe", "gr__e"), ("record_id", "x_record_id"), ("a" * 70, "a" * 64),
        ("product.id", "x_product_id"),
    ],
)  # fmt: skip
def test_names_are_folded(name: str, attribute: str) -> None:
    assert folded(name) == attribute


@settings(max_examples=200, database=None)
@given(st.text())
def test_every_folded_name_may_name_an_attribute(name: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", folded(name))


@pytest.mark.parametrize("head", ["", "data:image/png;base64,", "data:;base64,"])
def test_a_picture_is_read_with_and_without_its_head_and_leaves_the_record(head: str) -> None:
    record = {"_id": 7, "_base64": head + TEXT, "_url": "https://shop.example/1.png", "_file": "/home/me/1.png"}
    message = RecordInput()
    put_input(record, message)
    assert (message.image, message.record_id, message.WhichOneof("source")) == (PICTURE, "7", "image")
    assert record.keys() == {"_id", "_url"}
    assert not message.attributes


def test_values_keep_their_types() -> None:
    made = to_input(a="x", b=5, c=True, d=[1, "x", None, {"e": 2}], f=None, g={"h": {"i": 1.5}}, product_id=9)
    found = {name: plain(value) for name, value in made.attributes.items()}
    assert found == {"a": "x", "b": 5, "c": True, "d": ["1", "x", "null", '{"e":2}'], "g_h_i": 1.5}
    assert type(found["b"]) is int
    assert made.product_id == "9"


def test_null_removes_a_field_in_an_update() -> None:
    message = RecordPatch()
    put_patch({"_id": "1", "a-b": None, "c": {"d": None}, "e": 1, "product_id": None}, message)
    assert list(message.remove_attributes) == ["a_b", "c_d"]
    assert list(message.set_attributes) == ["e"]
    assert (message.HasField("product_id"), message.product_id) == (True, "")


@pytest.mark.parametrize(
    "fields",
    [
        {"a-b": 1, "a_b": 2}, {"a": {"b": 1}, "a.b": 2}, {"A": 1, "a": 2}, {"a": 2**53 + 1}, {"_base64": "a b"},
        {"_base64": TEXT[:-1]}, {"_base64": 5}, {"_id": 1.5}, {"_id": True}, {"_id": ""}, {"product_id": True},
        {"_base64": None, "_url": 5},
    ],
)  # fmt: skip
def test_an_ambiguous_or_wrong_record_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as caught:
        to_input(**fields)
    assert caught.value.reason is Reason.ARGUMENT_INVALID


def test_fields_come_back_under_the_names_that_were_asked_for() -> None:
    record = Record(record_id="1", product_id="p")
    for name, value in attributes_of({"Meta-X": "m", "size": {"eu": 42}, "other": 1}).items():
        assert value is not None
        record.attributes[name].CopyFrom(value)
    asked = shown_of({"fields_to_return": ["Meta-X", "meta_x", "size.eu", "none", "product_id", "_file"]})
    assert asked.record(record) == {"_id": "1", "product_id": "p", "Meta-X": "m", "meta_x": "m", "size.eu": 42}
    assert asked.attributes() == ["meta_x", "none", "size_eu"]
    assert shown_of({}).record(record) == {"_id": "1"}
    assert shown_of({}).attributes() == ["-"]
    everything = shown_of({"fields_to_return": ["*"]})
    assert everything.record(record) == {"_id": "1", "product_id": "p", "meta_x": "m", "size_eu": 42, "other": 1}
    assert everything.attributes() == []


def test_a_body_may_nest_thirty_two_levels() -> None:
    assert read_object(b'{"a":' + b"[" * 31 + b"]" * 31 + b"}")
    with pytest.raises(ServiceError, match="nests deeper"):
        read_object(b'{"a":' + b"[" * 32 + b"]" * 32 + b"}")
