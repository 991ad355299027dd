"""The codec equals google.protobuf.json_format on every message of the API, and on one with all kinds of fields."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from afterimage.v1 import record_service_pb2 as records
from afterimage.v1 import search_service_pb2 as search
from afterimage.v1 import types_pb2
from service.calls.error_details import to_status
from service.calls.methods import METHODS
from service.errors import Reason, ServiceError
from service.web.proto_json.codec import LARGE_BYTES, Codec
from service.web.proto_json.parsing import parse_text
from service.web.proto_json.scalars import reader_of
from tests.support.data.messages import LARGEST_FLOAT, arbitrary, everything

CANONICAL, PLAIN = Codec(plain=False), Codec(plain=True)
EVERYTHING = everything()


def all_types() -> list[Any]:
    """Every message type of the files that the API's services are in, and of those that they import."""
    files = {module.DESCRIPTOR.file.name: module.DESCRIPTOR.file for m in METHODS.values() for module in (m.request,)}
    files[types_pb2.DESCRIPTOR.name] = types_pb2.DESCRIPTOR
    found: list[Any] = []

    def add(descriptor: Any) -> None:
        if not descriptor.GetOptions().map_entry:
            found.append(descriptor)
            for inner in descriptor.nested_types:
                add(inner)

    for file in files.values():
        for descriptor in file.message_types_by_name.values():
            add(descriptor)
    return sorted(found, key=lambda d: d.full_name)


TYPES = all_types()
ANY_MESSAGE = st.sampled_from([*TYPES, *[EVERYTHING.DESCRIPTOR] * (len(TYPES) // 3)]).flatmap(arbitrary)


def same(one: Message, other: Message) -> bool:
    """Whether two messages have the same bytes: NaN equals NaN."""
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


def read(text: str, made: type[Message] = EVERYTHING, codec: Codec = CANONICAL) -> Any:
    message = made()
    codec.read(text.encode(), message)
    return message


def refused(text: str, made: type[Message] = EVERYTHING) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        read(text, made)
    return caught.value


def test_the_types_of_the_api_are_all_there() -> None:
    assert len(TYPES) > 150
    assert {m.request.DESCRIPTOR.full_name for m in METHODS.values()} <= {d.full_name for d in TYPES}


@settings(max_examples=120)
@given(ANY_MESSAGE)
def test_any_message_is_written_and_read_as_the_reference_does(message: Message) -> None:
    written = json.loads(CANONICAL.write(message))
    assert written == json_format.MessageToDict(message)
    back = type(message)()
    CANONICAL.read(json.dumps(written).encode(), back)
    assert same(back, json_format.ParseDict(written, type(message)()))
    snake = json_format.MessageToDict(message, preserving_proto_field_name=True)
    again = type(message)()
    CANONICAL.fill(snake, again)
    assert same(back, again)


@pytest.mark.parametrize("value", [LARGEST_FLOAT, -LARGEST_FLOAT])
def test_the_largest_float_is_read_as_it_was_written(value: float) -> None:
    message = EVERYTHING(a_float_field=value)
    assert same(read(CANONICAL.write(message).decode()), message)
    assert same(json_format.Parse(CANONICAL.write(message), EVERYTHING()), message)


def test_a_null_in_a_map_of_null_values_is_one() -> None:
    field: Any = EVERYTHING.DESCRIPTOR.fields_by_name["a_enum_nullvalue"]
    assert reader_of(field)(None) == 0


@settings(max_examples=60)
@given(ANY_MESSAGE)
def test_the_plain_form_writes_defaults_as_the_reference_does(message: Message) -> None:
    written = json.loads(PLAIN.write(message))
    reference = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    assert written == plain(message.DESCRIPTOR, reference)
    back = type(message)()
    PLAIN.fill(reference, back)  # the plain form reads the canonical one
    assert same(back, json_format.ParseDict(reference, type(message)()))


def plain(descriptor: Any, given: Any) -> Any:
    """What the reference wrote, with attributes in their plain form."""
    if descriptor.full_name == "afterimage.v1.AttributeValue":
        (value,) = given.values() if given else (None,)
        return value["values"] if isinstance(value, dict) else value
    if descriptor.full_name.startswith("google.protobuf."):
        return given
    fields = {f.json_name: f for f in descriptor.fields if f.message_type is not None}
    made = dict(given)
    for name in fields.keys() & given.keys():
        field, value = fields[name], given[name]
        if field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"].message_type
            made[name] = {k: plain(inner, v) if inner else v for k, v in value.items()}
        elif field.is_repeated:
            made[name] = [plain(field.message_type, v) for v in value]
        else:
            made[name] = plain(field.message_type, value)
    return made


WRONG = {
    "aInt32Field": ["1.5", "true", '"x"', '" 1"', "2147483648", "-2147483649", "[]", '"1.5"', '""'],
    "aUint32Field": ["-1", "4294967296"],
    "aInt64Field": ["9223372036854775808", '"9223372036854775808"'],
    "aUint64Field": ['"-1"', '"18446744073709551616"'],
    "aFloatField": ["3.5e38", '"x"', "true", '"nan"', "[]", '"1e400"'],
    "aDoubleField": ['"inf"', "{}", '"0x10"', '""'],
    "aBoolField": ['"true"', "1", '"x"'],
    "aStringField": ["1", "true", "{}", "[]"],
    "aBytesField": ["1", '"?"', '"a"', '"YQ=X"', '"YW Jj"', '"é"'],
    "aEnumColour": ['"GREEN"', "true", "1.5", "{}"],
    "aMessageEverything": ["1", '"x"', "[]"],
    "aMessageTimestamp": ['"x"', "1", '"2026-01-01"', "{}"],
    "aMessageDuration": ['"1"', "1", "{}"],
    "manyInt32Field": ["1", "{}", "[null]", '[1, "x"]'],
    "manyMessageEverything": ["{}", "[null]", "[1]"],
    "byInt32": ['{"x": 1}', "[]", '{"1": null}'],
    "byBool": ['{"yes": 1}'],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_value_of_the_wrong_type_is_refused_with_the_name_of_its_field(name: str, text: str) -> None:
    error = refused(f'{{"{name}": {text}}}')
    assert error.reason is Reason.ARGUMENT_INVALID
    assert error.field.startswith(name)


RIGHT = {
    "aInt32Field": ["1e2", "100.0", '"100"', '"1e2"', "null", "-0"],
    "aInt64Field": ["5", '"-5"', "5.0"],
    "aFloatField": ['"1.5"', '"NaN"', '"-Infinity"', "3.4028234663852886e38", '"1e-50"'],
    "aDoubleField": ['"Infinity"', "1", '"2"'],
    "aBytesField": ['"-_8"', '"-_8="', '"+/8"', '"+/8="', '""'],
    "aEnumColour": ['"BLUE"', "-7", "99", "1.0"],
    "aEnumNullvalue": ["null", '"NULL_VALUE"'],
    "aMessageValue": ["null", "1", '"x"', '{"a": [null, true]}'],
    "aMessageStruct": ['{"a": null}'],
    "aMessageTimestamp": ['"2026-02-03T04:05:06.789Z"', '"2026-02-03T04:05:06+02:00"'],
    "aMessageDuration": ['"1.5s"', '"-3s"'],
    "aMessageFieldmask": ['"fooBar,baz.qux"'],
    "aMessageInt64value": ['"7"', "7"],
    "aMessageEverything": ["{}", "null"],
    "manyMessageValue": ["[null, 1]"],
    "manyInt32Field": ["null", "[]", '["1", 2.0]'],
    "byBool": ['{"true": 1, "false": 2}'],
    "oneInt32Field": ["0", '1, "oneStringField": null'],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in RIGHT.items() for text in texts])
def test_every_spelling_of_a_value_is_read_as_the_reference_reads_it(name: str, text: str) -> None:
    given = f'{{"{name}": {text}}}'
    assert same(read(given), json_format.Parse(given, EVERYTHING()))


def test_unknown_fields_are_refused_with_their_place_and_no_value() -> None:
    error = refused('{"records": [{}, {"image": "", "colour": "s3cret"}]}', records.InsertRecordsRequest)
    assert (error.reason, error.field) == (Reason.FIELD_UNKNOWN, "records[1].colour")
    assert error.message == "RecordInput has no field colour"
    odd = refused('{"s3cret value!": 1}', search.SearchRequest)
    assert "s3cret" not in odd.message
    assert odd.reason is Reason.FIELD_UNKNOWN


def test_errors_quote_no_value() -> None:
    for texts in WRONG.values():
        assert "s3cret" not in refused('{"aInt32Field": "s3cret"}').message
        assert texts
    assert "s3cret" not in refused('{"a": s3cret}').message
    assert "s3cret" not in refused('{"byInt32": {"s3 cret": 1}}').field


def test_a_field_is_given_once() -> None:
    assert refused('{"groupBy": "a", "group_by": "b"}', search.SearchRequest).field == "groupBy"
    assert "excludes" in refused('{"image": "", "url": "u"}', search.QueryTerm).message
    assert refused("[]").message == "the body must be an object"
    assert refused("").message.startswith("the body is not valid JSON")


def test_attributes_are_plain_where_people_write_them() -> None:
    given = {"color": "red", "price": 39.5, "new": True, "tags": ["a", "b"], "old": {"stringValue": "x"}}
    record = read(json.dumps({"attributes": given}), records.RecordInput, PLAIN)
    assert record.attributes["price"].number_value == 39.5
    assert record.attributes["tags"].list_value.values == ["a", "b"]
    written = json.loads(PLAIN.write(record))["attributes"]
    assert written == {**given, "old": "x"}
    for wrong in (None, [1], {"stringValue": 1}):
        with pytest.raises(ServiceError, match=r"attributes\.color"):
            read(json.dumps({"attributes": {"color": wrong}}), records.RecordInput, PLAIN)
    with pytest.raises(ServiceError, match=r"attributes\.color"):
        read('{"attributes": {"color": "red"}}', records.RecordInput, CANONICAL)


def test_an_integer_that_would_lose_digits_is_refused_in_the_plain_form() -> None:
    for exact in (2**53, -(2**53), 2**53 + 2, 10**22, 2**100):
        record = read(json.dumps({"attributes": {"ean": exact}}), records.RecordInput, PLAIN)
        assert int(record.attributes["ean"].number_value) == exact
    for inexact in (2**53 + 1, -(2**53) - 1, 12345678901234567890):
        with pytest.raises(ServiceError, match=r"attributes\.ean"):
            read(json.dumps({"attributes": {"ean": inexact}}), records.RecordInput, PLAIN)


def test_the_details_of_an_error_are_written() -> None:
    status = to_status(ServiceError(Reason.OVERLOADED, "full", retry_delay_s=0.5), "id")
    written = json.loads(CANONICAL.write(status))
    assert written["details"][0]["@type"] == f"type.googleapis.com/{error_details_pb2.ErrorInfo.DESCRIPTOR.full_name}"
    assert written == json_format.MessageToDict(status)


@pytest.mark.parametrize("size", [100, LARGE_BYTES + 1])
async def test_large_texts_are_converted_beside_the_event_loop(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[bool] = []
    for name in ("read", "write"):
        plainly = getattr(Codec, name)

        def noted(self: Codec, *given: Any, plainly: Any = plainly) -> Any:
            threads.append(threading.current_thread() is threading.main_thread())
            return plainly(self, *given)

        monkeypatch.setattr(Codec, name, noted)
    message = records.RecordInput(image=bytes(size))
    back = records.RecordInput()
    await CANONICAL.read_beside(await CANONICAL.write_beside(message), back)
    assert back == message
    assert threads == [size < LARGE_BYTES] * 2
    await asyncio.sleep(0)


def test_an_empty_message_of_every_type_is_an_empty_object() -> None:
    for descriptor in TYPES:
        message = GetMessageClass(descriptor)()
        assert CANONICAL.write(message) == b"{}"
        CANONICAL.read(b"{}", message)
        assert not message.ListFields()


NAMES = st.sampled_from(["a", "b", "a:b", '"', ":", "\\", "é", "key", "", "\U0001f600"])
WITHOUT_REPEATS = st.recursive(
    st.none() | st.integers(-(2**63), 2**63) | NAMES | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8,
)  # fmt: skip


def as_pairs(value: Any) -> Any:
    """The value with objects as lists of pairs."""
    if isinstance(value, dict):
        return ("object", [(name, as_pairs(inner)) for name, inner in value.items()])
    return [as_pairs(inner) for inner in value] if isinstance(value, list) else value


def as_text(pairs: Any, ascii_only: bool, gap: str) -> str:
    if isinstance(pairs, tuple):
        inner = (
            json.dumps(n, ensure_ascii=ascii_only) + gap + ":" + gap + as_text(v, ascii_only, gap) for n, v in pairs[1]
        )
        return "{" + ",".join(inner) + "}"
    if isinstance(pairs, list):
        return "[" + ("," + gap).join(as_text(v, ascii_only, gap) for v in pairs) + "]"
    return json.dumps(pairs, ensure_ascii=ascii_only)


def objects_in(pairs: Any) -> list[Any]:
    """All objects in a value, as lists of pairs."""
    if isinstance(pairs, tuple):
        return [pairs[1], *(o for _, inner in pairs[1] for o in objects_in(inner))]
    return [o for inner in pairs for o in objects_in(inner)] if isinstance(pairs, list) else []


@settings(max_examples=60)
@given(WITHOUT_REPEATS, st.booleans(), st.sampled_from(["", " ", "\n\t"]), st.data())
def test_a_name_that_an_object_has_twice_is_refused_and_nothing_else(
    value: Any, ascii_only: bool, gap: str, data: st.DataObject
) -> None:
    pairs = as_pairs(value)
    text = as_text(pairs, ascii_only, gap)
    escaped = text.replace(":b", "\\u003ab") if data.draw(st.booleans()) else text
    assert parse_text(escaped.encode()) == orjson.loads(escaped)
    filled = [found for found in objects_in(pairs) if found]
    if not filled:
        return
    chosen = data.draw(st.sampled_from(filled))
    name = data.draw(st.sampled_from([n for n, _ in chosen]))
    chosen.insert(data.draw(st.integers(0, len(chosen))), (name, as_pairs(data.draw(WITHOUT_REPEATS))))
    repeated = as_text(pairs, ascii_only, gap)
    for sent in (repeated, repeated.replace(":b", "\\u003ab")):
        with pytest.raises(ServiceError, match="given twice in one object"):
            parse_text(sent.encode())


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"aInt32Field": 1, "aInt32Field": 1}', "aInt32Field"),
        ('{"aInt32Field" :1,"a\\u0049nt32Field" : 1}', "aInt32Field"),
        ('{"aStringField":"x","aStringField":"\\u003a"}', "aStringField"),
        ('{"aMessageEverything": {"aBoolField": true, "aBoolField": false}}', "aBoolField"),
        ('{"manyMessageEverything": [{}, {"aBoolField": true, "aBoolField": true}]}', "aBoolField"),
        ('{"byText": {"my secret": 1, "my secret": 2}}', ""),
    ],
)
def test_a_repeated_name_is_named_as_the_reference_refuses_it(text: str, field: str) -> None:
    with pytest.raises(json_format.ParseError):
        json_format.Parse(text, EVERYTHING())
    error = refused(text)
    assert (error.reason, error.field) == (Reason.ARGUMENT_INVALID, field)
    assert "secret" not in error.message


def test_a_repeated_name_in_a_large_text_is_found() -> None:
    text = json.dumps({"manyStringField": ["x:y"] * 20_000})
    assert len(read(text).many_string_field) == 20_000
    assert refused(text[:-1] + ', "manyStringField": []}').field == "manyStringField"


def test_what_is_nested_too_deeply_is_refused() -> None:
    for depth in (300, 900, 5000):
        assert refused('{"aMessageEverything":' * depth + "{}" + "}" * depth).reason is Reason.ARGUMENT_INVALID


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_what_is_nested_too_deeply_beside_an_escaped_colon_is_refused_too(opening: str, closing: str) -> None:
    """The names of such a text are compared by a parser that recurses."""
    text = '{"x\\u003a": 1, "y": ' + opening * 1010 + "1" + closing * 1010 + "}"
    with pytest.raises(ServiceError, match="nested too deeply") as caught:
        parse_text(text.encode())
    assert caught.value.reason is Reason.ARGUMENT_INVALID
