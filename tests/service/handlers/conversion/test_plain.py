"""A search is plain where one vector, the collection and k are all that is set."""

import random
from typing import Any

import pytest
from google.protobuf.message import Message

from afterimage.v1 import search_service_pb2 as pb
from service.handlers.conversion.plain import is_plain


def drawn_plain(drawn: random.Random) -> pb.SearchRequest:
    vector = drawn.randbytes(4 * drawn.choice((1, 31, 32, 384, 5000)))
    name = drawn.choice(("c", "größe", "n" * 63, "n" * 130))
    return pb.SearchRequest(collection=name, k=drawn.choice((1, 127, 128, 1000)), query=[pb.QueryTerm(vector=vector)])


def set_somewhere(message: Message, drawn: random.Random) -> None:
    """Sets one field, or one within a message that is there or is made."""
    field: Any = drawn.choice(message.DESCRIPTOR.fields)
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is None:
            value["x"] = 1.0
        else:
            value["x"].SetInParent()
    elif field.message_type is not None:
        inner = value.add() if field.is_repeated else value
        inner.SetInParent()
    elif field.is_repeated:
        value.append("x" if field.type == field.TYPE_STRING else 1)
    else:
        setattr(message, field.name, {field.TYPE_STRING: "x", field.TYPE_BYTES: b"x"}.get(field.type, 1))


@pytest.mark.parametrize("seed", range(3))
def test_a_search_is_plain_as_long_as_nothing_else_is_set(seed: int) -> None:
    drawn = random.Random(seed)
    for _ in range(300):
        plain = drawn_plain(drawn)
        assert is_plain(plain)
        other = pb.SearchRequest.FromString(plain.SerializeToString())
        target = other if drawn.random() < 0.7 else other.query[0]
        set_somewhere(target, drawn)
        expected = pb.SearchRequest(collection=other.collection, k=other.k)
        expected.query.add(vector=other.query[0].vector)
        assert is_plain(other) == (other == expected and bool(other.query[0].vector) and other.k > 0)


def test_a_search_with_a_field_that_is_not_known_is_not_plain() -> None:
    unknown = b"\xfa\x3f\x01x"  # field 1023
    rest = pb.SearchRequest(collection="c", k=10).SerializeToString()
    term = pb.QueryTerm(vector=bytes(32)).SerializeToString()
    for within, after, expected in ((b"", b"", True), (unknown, b"", False), (b"", unknown, False)):
        query = term + within
        raw = b"".join((rest, bytes((0x12, len(query))), query, after))
        assert is_plain(pb.SearchRequest.FromString(raw)) == expected
