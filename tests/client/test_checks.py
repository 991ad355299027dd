"""What the client rejects before sending, and its messages."""

from __future__ import annotations

import datetime
import decimal
import io
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterimage.client import (
    AsyncClient,
    Client,
    InvalidArgument,
    NewExample,
    NewRecord,
    Patch,
    Picture,
    Region,
    RetryPolicy,
    Term,
    Unavailable,
)
from afterimage.client.batches import cut
from afterimage.client.convert import picture_input, query_terms, record_input
from tests.support.data.pictures import png
from tests.support.servers.server import Server

# Nothing listens there: a call that is sent fails as Unavailable.
NOWHERE = "127.0.0.1:1"

REFUSED = [
    ({"amount": 39.5, "currency": "EUR"}, "is a nested object (a dict); attributes are flat: pass one attribute for "
     "each member, such as x_amount and x_currency"),
    ({}, "is a nested object (a dict); attributes are flat: pass one attribute for each member"),
    (None, "is None; omit the attribute, or remove it with remove_attributes"),
    (float("nan"), "is nan, not a finite number; omit the attribute"),
    (float("-inf"), "is -inf, not a finite number"),
    (np.float32("nan"), "is nan, not a finite number"),
    (2**53 + 1, "is '9007199254740993', beyond 2**53, and would lose digits; pass it as a string"),
    (-(10**400), "an integer of more than 100 digits, beyond 2**53"),
    (b"red", "is a bytes; pass a string, a number, true or false, or a list of strings"),
    (datetime.date(2026, 1, 2), "is a date; pass a string, a number"),
    (decimal.Decimal("1.5"), "is a Decimal; pass a string, a number"),
    (1j, "is a complex; pass"),
    (object, "is a type; pass"),
    (["a", 5], "x[1] is an int; a list must contain only strings"),
    ([["a"]], "x[0] is a list; a list must contain only strings"),
    ([None], "x[0] is None; a list must contain only strings"),
    (({"a": 1},), "x[0] is a dict; a list must contain only strings"),
    ((t for t in "ab"), "is a generator; pass"),
    (np.zeros(3), "is a ndarray; pass"),
    ("\ud800", "is not valid Unicode"),
    (["\ud800"], "is not valid Unicode"),
]  # fmt: skip


@pytest.fixture
def nowhere() -> Client:
    return Client(NOWHERE, "af_live_x", retry=RetryPolicy(attempts=1))


@pytest.mark.parametrize(("value", "said"), REFUSED, ids=[repr(v)[:30] for v, _ in REFUSED])
def test_an_attribute_of_another_type_is_refused_by_name(nowhere: Client, value: Any, said: str) -> None:
    calls: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: nowhere.insert("c", [NewRecord("0", image=b"x"), NewRecord("a", image=b"x", attributes={"x": value})]),
         "records[1].attributes.x"),
        (lambda: nowhere.update_records("c", [Patch("a", set_attributes={"x": value})]), "patches[0].attributes.x"),
    )  # fmt: skip
    for call, field in calls:
        with pytest.raises(InvalidArgument) as caught:
            call()
        assert said in caught.value.message
        assert caught.value.message.startswith("record 'a': attributes.x")
        assert caught.value.reason == "ARGUMENT_INVALID"
        assert caught.value.field.startswith(field)


@settings(deadline=None)
@given(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])), st.booleans(), st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False), st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
        st.sampled_from([np.float32(1.5), np.int64(7), np.bool_(True), np.str_("red")]),
    )
)  # fmt: skip
def test_what_an_attribute_may_be_arrives_as_it_is(value: Any) -> None:
    from afterimage.client.convert import record_input
    from service.handlers.conversion.values import to_attributes

    arrived = to_attributes(record_input(NewRecord("a", image=b"x", attributes={"x": value})).attributes)["x"]
    assert arrived == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            "1.jpg",
            "query is text, '1.jpg'; pass the picture's bytes, or Path('1.jpg'), Term(record_id=...) or an http URL",
        ),
        (Path("no/1.jpg"), "query: 'no/1.jpg' cannot be read: No such file or directory"),
        (Path("/"), "query: '/' cannot be read: Is a directory"),
        (Path("a\0b"), "cannot be read: "),
        (io.StringIO("text"), "query is a file that is read as text; open it in binary mode, 'rb'"),
        (io.BytesIO(), "query is a file at its end; seek(0) before it is passed again"),
        (["1.jpg"], "query is text, '1.jpg'"),
        (None, "query is None; pass the bytes of a picture file"),
        (5, "query is an int"),
        (np.zeros(3), "query is a ndarray"),
        (NewRecord("1", image=b"x"), "query is a NewRecord"),
        (
            Term(image=b"x", url="https://x"),
            "pass exactly one of image, url, record_id, vector, search_id, color, text; image and url are given",
        ),
        (Term(image="1.jpg"), "image is text, '1.jpg'"),
        (Term(record_id=7), "record_id is an int; pass '7'"),
        (Term(vector=["a"]), "vector is not a flat sequence of float32 numbers"),
        (Term(vector=[[1.0]]), "vector is not a flat sequence of float32 numbers"),
        (Term(record_id="1", weight="2"), "weight is of type str; use a number"),
    ],
)
def test_a_query_of_another_kind_is_refused_with_the_remedy(nowhere: Client, query: Any, said: str) -> None:
    for call in (lambda: nowhere.search("shoes", query), lambda: nowhere.classify("shoes", query, "color")):
        with pytest.raises(InvalidArgument) as caught:
            call()
        assert said in caught.value.message


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda c: c.insert("c", [NewRecord(1, image=b"x")]), "record_id is an int; pass '1'"),
        (lambda c: c.insert("c", [NewRecord("1", image="1.jpg")]), "image is text, '1.jpg'; pass the picture's bytes"),
        (lambda c: c.insert("c", [NewRecord("1", image=Path("no/1.jpg"))]), "image: 'no/1.jpg' cannot be read"),
        (lambda c: c.insert("c", [NewRecord("1", image="https://x/1.jpg")]), "pass url=..., or the picture's bytes"),
        (lambda c: c.insert("c", [NewRecord("1", image=b"x", url="https://x")]), "image and url are given"),
        (lambda c: c.insert("c", [NewRecord("1", image=b"x", product_id=5)]), "product_id is an int; pass '5'"),
        (lambda c: c.insert("c", [NewRecord("1", image=b"x", attributes=["a"])]), "attributes is a list; pass a"),
        (lambda c: c.insert("c", [NewRecord("1", image=b"x", attributes={5: "a"})]), "name of an attribute is an int"),
        (lambda c: c.insert("c", [{"record_id": "1"}]), "a record is of type dict; pass NewRecord"),
        (lambda c: c.delete_records("c", "123", force=True), "record_ids is a str; pass a list, such as ['123']"),
        (lambda c: c.get_records("c", "123"), "record_ids is a str; pass a list, such as ['123']"),
        (lambda c: c.erase_records("c", record_ids="123"), "record_ids is a str; pass a list"),
        (lambda c: c.erase_records("c", product_ids="123"), "product_ids is a str; pass a list"),
        (lambda c: c.retry_failures("spring", "123"), "record_ids is a str; pass a list"),
        (lambda c: c.get_records("c", [1]), "record_ids[0] is an int; pass '1'"),
        (lambda c: c.search("c", b"x", exclude_record_ids="12"), "exclude_record_ids is a str"),
        (lambda c: c.search("c", b"x", facets="color"), "facets is a str"),
        (lambda c: c.search("c", b"x", fields={"color": 1}), "fields is a dict; pass a list of strings"),
        (lambda c: c.encode(["1.jpg"]), "picture is text, '1.jpg'"),
        (lambda c: c.encode([Picture()]), "pass exactly one of image, url; none is given"),
        (lambda c: c.encode([Picture(b"x", url="https://x")]), "image and url are given"),
        (lambda c: c.rank("1.jpg", [b"x"]), "picture is text"),
        (lambda c: c.create_collection("c", learning="yes"), "learning is 'yes'; pass \"auto\" or \"off\""),
        (lambda c: c.create_collection("c", picture_policy="keep"), "picture_policy is 'keep'; pass DISCARD"),
        (lambda c: c.update_collection("c", learning="yes"), "learning is 'yes'"),
    ],
)  # fmt: skip
def test_arguments_of_another_kind_are_refused_with_the_remedy(nowhere: Client, call: Any, said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        call(nowhere)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("target", "key", "said"),
    [
        ("http://localhost:50051", "x", "is a URL; use HOST:PORT without http://, such as localhost:50051"),
        ("https://shop.example", "x", "without https://, such as shop.example, and the server's CA for TLS"),
        ("localhost", "x", "'localhost' is not HOST:PORT, such as localhost:50051"),
        ("", "x", "is not HOST:PORT"),
        ("localhost:many", "x", "is not HOST:PORT"),
        ("localhost:1/path", "x", "is not HOST:PORT"),
        ("localhost:1", "af_live_\u00e4", "the API key contains a space or an invalid character"),
        ("localhost:1", "a b", "the API key contains a space"),
    ],
)
def test_a_target_or_key_that_reaches_no_server_is_refused(target: str, key: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Client(target, key)
    assert said in caught.value.message


async def test_the_client_to_await_refuses_the_same(server: Server) -> None:
    with pytest.raises(InvalidArgument, match="without http://"):
        AsyncClient("http://localhost:1", "x")
    async with AsyncClient(NOWHERE, "x\n") as client:  # the end of a line in a key file is no part of the key
        with pytest.raises(InvalidArgument, match="query is text"):
            await client.search("shoes", "1.jpg")


def test_in_an_import_a_record_that_cannot_be_sent_fails_alone_and_in_its_place(client: Client) -> None:
    client.create_collection("c")
    bad: dict[int, Any] = {0: {"x": None}, 3: {"x": {"a": 1}}, 4: {"x": [1]}, 69: {"x": float("nan")}}
    records = (NewRecord(str(n), vector=[1.0] * 384, attributes=bad.get(n, {})) for n in range(70))
    results = list(client.import_records("c", records))
    assert [r.record_id for r in results] == [str(n) for n in range(70)]
    assert {int(r.record_id) for r in results if r.error is not None} == set(bad)
    assert results[3].error is not None
    assert (results[3].error.reason, results[3].error.field) == ("ARGUMENT_INVALID", "attributes.x")
    assert client.count_records("c") == 66
    assert [r.outcome for r in client.import_records("c", [NewRecord("1", image="1.jpg")])] == ["failed"]


def test_what_the_source_of_an_import_raises_comes_out_as_it_is(client: Client) -> None:
    client.create_collection("c")

    def records() -> Iterator[NewRecord]:
        yield NewRecord("1", vector=[1.0] * 384)
        raise ZeroDivisionError("in the shop's own code")

    seen = []
    with pytest.raises(ZeroDivisionError, match="the shop's own code"):  # noqa: PT012
        for result in client.import_records("c", records()):
            seen.append(result.record_id)
    assert client.count_records("c") == len(seen)


def test_a_picture_may_be_given_by_url_and_learning_when_a_collection_is_made(client: Client) -> None:
    assert client.create_collection("off", learning="off").learning == "off"
    assert client.create_collection("on").learning == "auto"
    [there] = client.encode([Picture(url="https://192.0.2.1/1.jpg")])
    assert there.error is not None
    assert there.error.reason in ("URL_FORBIDDEN", "URL_UNREACHABLE", "URL_INVALID")


def test_the_server_says_from_where_on_pictures_are_near_duplicates(client: Client) -> None:
    info = client.server_info()
    [builtin] = [e for e in info.encoders if e.id == "builtin"]
    assert 0 < builtin.near_duplicate_distance < 0.5
    assert "search" in info.scopes
    assert client.encode([png(1)])[0].error is None


def test_an_example_of_another_kind_is_refused_with_the_remedy(client: Client) -> None:
    client.create_training_set("shoes")
    for example, said in (
        (NewExample("1", "boot", image="1.jpg"), "image is text"),
        (NewExample(1, "boot", image=b"x"), "example_id is an int; pass '1'"),
    ):
        with pytest.raises(InvalidArgument, match=said):
            list(client.add_examples("shoes", [example]))
    with pytest.raises(InvalidArgument, match="example_ids is a str"):
        client.delete_examples("shoes", "12")


WRONG_ARGUMENTS = [
    ({"k": 10**12}, "k", "beyond 2147483647"),
    ({"k": 2.5}, "k", "k is 2.5 (float); use an integer"),
    ({"k": "5"}, "k", "k is '5' (str); use an integer"),
    ({"max_distance": "0.5"}, "max_distance", "use a number"),
    ({"filter": 5}, "filter", "pass '5'"),
    ({"filter": "\ud800"}, "filter", "not valid Unicode"),
    ({"group_by": b"\xff"}, "group_by", "pass a string"),
    ({"exact": "yes"}, "exact", "use True or False"),
    ({"emphasis": ["shape"]}, "emphasis", "use a mapping of names to numbers"),
    ({"emphasis": {"shape": "0"}}, "emphasis.shape", "use a number"),
    ({"emphasis": {5: 1.0}}, "emphasis", "pass '5'"),
    ({"query": Term(record_id="1", region=Region(0, 0, 1, 1))}, "query.region", "can only be set with a picture"),
    ({"query": Term(image=b"x", region=Region("a", 0, 1, 1))}, "", "one of collection, query holds a value"),
    ({"query": Term(record_id="1", weight="2")}, "query.weight", "use a number"),
]


@pytest.mark.parametrize(("arguments", "field", "said"), WRONG_ARGUMENTS, ids=str)
async def test_an_argument_that_no_request_has_is_named(nowhere: Client, arguments: Any, field: str, said: str) -> None:
    given = {"collection": "c", "query": b"picture", **arguments}
    with pytest.raises(InvalidArgument) as caught:
        nowhere.search(**given)
    assert caught.value.field == field
    assert said in caught.value.message
    async with AsyncClient(NOWHERE, "af_live_x") as client:
        with pytest.raises(InvalidArgument):
            await client.search(**given)
    if "max_distance" in arguments:
        with pytest.raises(InvalidArgument, match="use a number"):
            list(nowhere.find_duplicates("c", **arguments))


def test_an_argument_that_a_method_does_not_have_is_an_error_of_the_program(nowhere: Client) -> None:
    with pytest.raises(TypeError, match="limit"):
        nowhere.search("c", b"picture", limit=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="query"):
        nowhere.search("c")  # type: ignore[call-arg]


def test_numbers_of_numpy_are_numbers(nowhere: Client) -> None:
    term = Term(record_id="1", weight=np.float32(0.5))
    with pytest.raises(Unavailable):  # sent
        nowhere.search("c", term, k=np.int64(5), max_distance=np.float32(0.5), emphasis={"shape": np.float64(0)})


@pytest.mark.parametrize(
    "request_with",
    [
        lambda given: query_terms(given)[0],
        lambda given: query_terms([Term(image=given, weight=2)])[0],
        lambda given: picture_input(given),
        lambda given: picture_input(Picture(given)),
        lambda given: record_input(NewRecord("1", image=given)),
    ],
    ids=["a query", "a term", "a picture", "a picture with a region", "a record"],
)
def test_a_picture_is_taken_as_bytes_path_or_open_file(request_with: Callable[[Any], Any], tmp_path: Path) -> None:
    content = png(1)
    path = tmp_path / "1.png"
    path.write_bytes(content)
    for image in (content, bytearray(content), memoryview(content), path, io.BytesIO(content)):
        assert request_with(image).image == content
    with path.open("rb") as opened:
        assert request_with(opened).image == content
        with pytest.raises(InvalidArgument, match="at its end"):
            request_with(opened)
    with pytest.raises(InvalidArgument, match="cannot be read: read of closed file"):
        request_with(opened)
    path.write_bytes(b"\xff\xd8")
    with path.open(encoding="utf-8") as text, pytest.raises(InvalidArgument, match="open it in binary mode, 'rb'"):
        request_with(text)


async def test_an_import_refuses_what_is_no_iterable() -> None:
    async def generated() -> AsyncIterator[NewRecord]:
        yield NewRecord("1", image=b"x")

    with pytest.raises(InvalidArgument, match=r"records is of type async_generator; pass an ordinary iterable"):
        list(cut(generated(), 100))


def test_the_url_of_a_picture_is_taken_as_a_query_and_as_a_picture_but_no_other_text() -> None:
    url = "https://shop.example/1.jpg"
    assert [(t.url, t.image) for t in query_terms([url, Term(url=url)])] == [(url, b"")] * 2
    assert picture_input(url).url == url
    for text in ("1.jpg", "/etc/hostname", "file:///etc/hostname", "ftp://shop.example/1.jpg"):
        with pytest.raises(InvalidArgument, match="is text"):
            query_terms(text)
