"""Bad input, each with its documented status, and a server that keeps running."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest

from afterimage.client import (
    AfterimageError,
    AlreadyExists,
    Client,
    FailedPrecondition,
    InvalidArgument,
    NewRecord,
    NotFound,
    Patch,
    PermissionDenied,
    Region,
    Term,
)
from afterimage.client.convert import record_input
from afterimage.v1 import (
    record_service_pb2,
    record_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    types_pb2,
)
from tests.support.data.pictures import encode, noise, png
from tests.support.servers.server import Server

NAN = float("nan")
GOOD = png(1)
HUGE_HEADER = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5BI", 13, b"IHDR", 30_000, 30_000, 8, 2, 0, 0, 0, 0)
EMPTY_HEADER = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5BI", 13, b"IHDR", 0, 0, 8, 2, 0, 0, 0, 0)
HDR = cv2.imencode(".hdr", np.ones((4, 4, 3), np.float32))[1].tobytes()
VECTOR = [1.0] + [0.0] * 383


@pytest.fixture
def shop(client: Client) -> Client:
    client.create_collection("c")
    client.insert("c", [NewRecord("here", image=GOOD, attributes={"color": "red"})])
    return client


BAD_RECORDS = [
    (NewRecord("x", image=b""), "IMAGE_EMPTY", "image"),
    (NewRecord("x", image=b"just some text"), "IMAGE_FORMAT_UNSUPPORTED", "image"),
    (NewRecord("x", image=b"<!DOCTYPE html><html></html>"), "IMAGE_FORMAT_UNSUPPORTED", "image"),
    (NewRecord("x", image=b"%PDF-1.4\n%..."), "IMAGE_FORMAT_UNSUPPORTED", "image"),
    (NewRecord("x", image=b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "IMAGE_FORMAT_UNSUPPORTED", "image"),
    (NewRecord("x", image=HDR), "IMAGE_FORMAT_UNSUPPORTED", "image"),
    (NewRecord("x", image=b"\x76\x2f\x31\x01" + bytes(60)), "IMAGE_FORMAT_UNSUPPORTED", "image"),
    (NewRecord("x", image=EMPTY_HEADER), "IMAGE_DAMAGED", "image"),
    (NewRecord("x", image=HUGE_HEADER), "IMAGE_TOO_MANY_PIXELS", "image"),
    (NewRecord("x", image=encode(noise(1, 600, 10))), "IMAGE_RATIO_TOO_EXTREME", "image"),
    (NewRecord("x", image=b"\xff\xd8\xff" + bytes(17 * 2**20)), "IMAGE_TOO_LARGE", "image"),
    *[
        (NewRecord("x", image=encode(noise(2), kind)[:length]), "IMAGE_DAMAGED", "image")
        for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")
        for length in (40, 200, 800)
    ],
    (NewRecord("x", image=GOOD, region=Region(-0.1, 0, 1, 1)), "ARGUMENT_INVALID", "region.left"),
    (NewRecord("x", image=GOOD, region=Region(0, 0, 1, 1.2)), "ARGUMENT_INVALID", "region.bottom"),
    (NewRecord("x", image=GOOD, region=Region(0, NAN, 1, 1)), "ARGUMENT_INVALID", "region.top"),
    (NewRecord("x", image=GOOD, region=Region(0.5, 0, 0.5, 1)), "ARGUMENT_INVALID", "region.right"),
    (NewRecord("x", vector=[NAN] * 384), "ARGUMENT_INVALID", "vector"),
    (NewRecord("x", vector=[0.0] * 384), "ARGUMENT_INVALID", "vector"),
    (NewRecord("x", vector=[1.0] * 383), "ARGUMENT_INVALID", "vector"),
    (NewRecord("x", vector=b"123"), "ARGUMENT_INVALID", "vector"),
    (NewRecord("x", vector=VECTOR, region=Region(0, 0, 1, 1)), "ARGUMENT_INVALID", "region"),
    (NewRecord("x"), "SOURCE_MISSING", "image"),
    (NewRecord("x", url="https://10.0.0.1/1.jpg"), "URL_FORBIDDEN", "url"),
    (NewRecord("x", url="ftp://example.org/1.jpg"), "URL_INVALID", "url"),
    (NewRecord("", image=GOOD), "ARGUMENT_INVALID", "record_id"),
    (NewRecord("i" * 257, image=GOOD), "ARGUMENT_INVALID", "record_id"),
    (NewRecord("a\x00b", image=GOOD), "ARGUMENT_INVALID", "record_id"),
    (NewRecord("x", image=GOOD, product_id="p" * 257), "ARGUMENT_INVALID", "product_id"),
    (NewRecord("x", image=GOOD, attributes={"Not Good": 1}), "ARGUMENT_INVALID", "attributes"),
    (NewRecord("x", image=GOOD, attributes={"t": "y" * 1025}), "ARGUMENT_INVALID", "attributes.t"),
    (NewRecord("x", image=GOOD, attributes={f"a{n}": 1 for n in range(65)}), "ARGUMENT_INVALID", "attributes"),
]


@pytest.mark.parametrize(("record", "reason", "field"), BAD_RECORDS)
def test_a_bad_record_fails_alone_with_its_reason(shop: Client, record: NewRecord, reason: str, field: str) -> None:
    bad, good = shop.insert("c", [record, NewRecord("good", image=GOOD)])
    assert bad.outcome == "failed"
    assert bad.error is not None
    assert (bad.error.reason, bad.error.field) == (reason, field)
    assert bad.error.message
    assert good.outcome == "created"
    assert shop.count_records("c") == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (types_pb2.AttributeValue(number_value=NAN), "not a finite number"),
        (types_pb2.AttributeValue(number_value=float("inf")), "not a finite number"),
        (types_pb2.AttributeValue(), "has no value"),
    ],
)
def test_an_attribute_that_this_client_would_not_send_fails_its_record_alone(
    server: Server, shop: Client, value: types_pb2.AttributeValue, said: str
) -> None:
    good = record_input(NewRecord("good", image=GOOD))
    bad = record_input(NewRecord("bad", image=GOOD))
    bad.attributes["price"].CopyFrom(value)
    request = record_service_pb2.InsertRecordsRequest(collection="c", records=[bad, good])
    with grpc.insecure_channel(server.target) as channel:
        stub = record_service_pb2_grpc.RecordServiceStub(channel)
        first, second = stub.InsertRecords(request, metadata=shop._endpoint.metadata, timeout=30).results
    assert (first.error.reason, first.error.field) == ("ARGUMENT_INVALID", "attributes.price")
    assert said in first.error.message
    assert second.outcome == record_service_pb2.WRITE_OUTCOME_CREATED


@pytest.mark.parametrize("suffix_says", ["PNG", "WEBP", "GIF", "BMP"])
def test_a_file_whose_name_says_another_format_is_taken_for_what_it_is(shop: Client, suffix_says: str) -> None:
    assert shop.insert("c", [NewRecord("photo.jpg", image=encode(noise(4), suffix_says))])[0].outcome == "created"


def search(**changes: object) -> Callable[[Client], object]:
    arguments: dict[str, Any] = {"collection": "c", "query": Term(vector=VECTOR), **changes}
    return lambda client: client.search(**arguments)


INVALID = (InvalidArgument, "ARGUMENT_INVALID")
BAD_CALLS = [
    (search(k=0), *INVALID, "k"),
    (search(k=1001), *INVALID, "k"),
    (search(k=-1), *INVALID, "k"),
    (search(offset=-1), *INVALID, "offset"),
    (search(offset=10_001), *INVALID, "offset"),
    (search(query=[]), *INVALID, "query"),
    (search(query=[Term()]), *INVALID, "query"),
    (search(query=[Term(vector=VECTOR)] * 17), *INVALID, "query"),
    (search(query=Term(vector=VECTOR, weight=-1)), *INVALID, "query.weight"),
    (search(query=Term(vector=VECTOR, weight=NAN)), *INVALID, "query.weight"),
    (search(query=[Term(vector=VECTOR), Term(vector=VECTOR, weight=-1)]), *INVALID, "query"),
    (search(query=Term(vector=[NAN] * 384)), *INVALID, "query.vector"),
    (search(query=Term(vector=[1.0] * 5)), *INVALID, "query.vector"),
    (search(query=Term(record_id="gone")), NotFound, "RECORD_NOT_FOUND", ""),
    (search(query=Term(url="https://127.0.0.1/x.jpg")), PermissionDenied, "URL_FORBIDDEN", ""),
    (search(query=b"not a picture"), InvalidArgument, "IMAGE_FORMAT_UNSUPPORTED", "image"),
    (search(query=Term(image=GOOD, region=Region(0, 0, 2, 1))), *INVALID, "region.right"),
    (search(emphasis={"taste": 1}), *INVALID, "emphasis"),
    (search(emphasis={"colour": -1}), *INVALID, "emphasis"),
    (search(emphasis={"colour": NAN}), *INVALID, "emphasis"),
    (search(emphasis={"colour": 0, "shape": 0}), *INVALID, "emphasis"),
    (search(filter="price <"), InvalidArgument, "FILTER_INVALID", "filter"),
    (search(filter="x" * 9000), InvalidArgument, "FILTER_INVALID", "filter"),
    (search(filter="record_id = x"), InvalidArgument, "FILTER_INVALID", "filter"),
    (search(group_by="color"), *INVALID, "group_by"),
    (search(group_by="product_id", k=1000, group_size=11), *INVALID, "group_size"),
    (search(group_by="product_id", group_size=101), *INVALID, "group_size"),
    (search(max_distance=-0.1), *INVALID, "max_distance"),
    (search(max_distance=NAN), *INVALID, "max_distance"),
    (search(min_score=1.5), *INVALID, "min_score"),
    (search(collection="nope"), NotFound, "COLLECTION_NOT_FOUND", ""),
    (lambda c: c.create_collection("c"), AlreadyExists, "COLLECTION_EXISTS", ""),
    (lambda c: c.create_collection("Bad Name"), *INVALID, "collection.name"),
    (lambda c: c.create_collection("../up"), *INVALID, "collection.name"),
    (lambda c: c.create_collection("d", encoder_id="clip"), InvalidArgument, "ENCODER_UNKNOWN", "encoder_id"),
    (lambda c: c.create_collection("d", description="x" * 1025), *INVALID, "collection.description"),
    (lambda c: c.insert("c", []), *INVALID, "records"),
    (lambda c: c.insert("c", [NewRecord("1", vector=VECTOR)] * 101), *INVALID, "records"),
    (lambda c: c.insert("nope", [NewRecord("1", vector=VECTOR)]), NotFound, "COLLECTION_NOT_FOUND", ""),
    (lambda c: list(c.import_records("nope", [NewRecord("1", vector=VECTOR)])), NotFound, "COLLECTION_NOT_FOUND", ""),
    (lambda c: c.get_records("c", []), *INVALID, "record_ids"),
    (lambda c: c.list_records_page("c", page_size=1001), *INVALID, "page_size"),
    (lambda c: c.list_records_page("c", page_token="garbage"), *INVALID, "page_token"),
    (lambda c: c.delete_records("c"), *INVALID, "record_ids"),
    (lambda c: c.delete_records("c", ["1"], filter="a = 1"), *INVALID, "record_ids"),
    (lambda c: c.delete_records("c", filter="a ="), InvalidArgument, "FILTER_INVALID", "filter"),
    (lambda c: c.count_records("c", "AND"), InvalidArgument, "FILTER_INVALID", "filter"),
    (lambda c: c.update_records("c", [Patch("here", None, {"a": 1}, ["a"])]), *INVALID, "remove_attributes"),
    (lambda c: c.classify("c", GOOD, ""), *INVALID, "attribute"),
    (lambda c: c.encode([]), *INVALID, "pictures"),
    (lambda c: c.rank(b"text", [GOOD]), InvalidArgument, "IMAGE_FORMAT_UNSUPPORTED", "image"),
    (lambda c: list(c.find_duplicates("c", max_distance=3)), *INVALID, "max_distance"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "reason", "field"), BAD_CALLS)
def test_a_bad_call_is_refused_with_its_reason(
    shop: Client, call: Callable[[Client], object], kind: type[AfterimageError], reason: str, field: str
) -> None:
    with pytest.raises(kind) as caught:
        call(shop)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.request_id
    assert shop.count_records("c") == 1


def test_vectors_of_one_answer_stay_within_a_message(tmp_path: Path) -> None:
    from tests.support.servers.server import start_server
    from tests.support.shared import own_encoder

    server = start_server(tmp_path, "--encoders-dir", str(own_encoder(tmp_path / "encoders")))
    with server.client(server.key("t")) as client:
        client.create_collection("wide", encoder_id="mobilenet-v2")
        vectors = ([1.0, float(n)] + [0.0] * 1278 for n in range(4000))
        assert not any(r.error for r in client.import_records("wide", _numbered(vectors)))
        page, token = client.list_records_page("wide", page_size=1000, include_vectors=True)
        assert token
        assert 3 << 20 < len(page) * 1280 * 4 < 3.5 * (1 << 20)  # a page ends by its bytes
        with pytest.raises(InvalidArgument, match=r"not within 1\.\.3276"):
            client.search(
                "wide", Term(record_id="1"), k=1000, group_by="product_id", group_size=4, include_vectors=True
            )
        assert len(list(client.records("wide", include_vectors=True))) == 4000
    assert server.stop() == 0


def _numbered(vectors: Any) -> Iterator[NewRecord]:
    return (NewRecord(str(n), vector=v) for n, v in enumerate(vectors))


def test_a_filter_error_names_the_column(shop: Client) -> None:
    with pytest.raises(InvalidArgument, match=r"column 13"):
        shop.count_records("c", 'color = "a" ! 5')


def test_a_page_token_of_another_list_is_refused(shop: Client) -> None:
    shop.insert("c", [NewRecord(str(n), vector=VECTOR) for n in range(3)])
    _, token = shop.list_records_page("c", page_size=2)
    with pytest.raises(InvalidArgument, match="same on every page"):
        shop.list_records_page("c", page_size=2, filter="a = 1", page_token=token)


def test_a_field_that_this_version_does_not_know_is_refused(server: Server, shop: Client) -> None:
    import grpc

    known = search_service_pb2.SearchRequest(collection="c", k=1)
    known.query.add(record_id="here").MergeFromString(b"\xfa\x07\x03new")  # field 127
    with grpc.insecure_channel(server.target) as channel:
        stub = search_service_pb2_grpc.SearchServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Search(known, metadata=shop._endpoint.metadata)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "unknown field" in str(caught.value.details())


def test_a_message_over_the_limit_is_refused_by_the_transport(shop: Client) -> None:
    from afterimage.client import ResourceExhausted

    with pytest.raises(ResourceExhausted):
        shop.insert("c", [NewRecord("x", image=bytes(21 * 2**20))])
    assert shop.count_records("c") == 1


def test_a_collection_whose_encoder_is_gone_says_so_and_still_takes_vectors(tmp_path: Path) -> None:
    from tests.support.servers.server import start_server
    from tests.support.shared import own_encoder

    first = start_server(tmp_path, "--encoders-dir", str(own_encoder(tmp_path / "encoders")))
    key = first.key("t")
    with first.client(key) as client:
        client.create_collection("own", encoder_id="mobilenet-v2")
        client.insert("own", [NewRecord("1", image=GOOD)])
        assert client.search("own", GOOD).hits[0].distance < 1e-3
    assert first.stop() == 0
    second = start_server(tmp_path)
    with second.client(key) as client:
        with pytest.raises(FailedPrecondition) as caught:
            client.search("own", GOOD)
        assert caught.value.reason == "ENCODER_MISSING"
        result = client.insert("own", [NewRecord("2", vector=[1.0] * 1280), NewRecord("3", image=GOOD)])
        assert [r.outcome for r in result] == ["created", "failed"]
        assert client.search("own", Term(record_id="1")).hits[0].record_id == "2"
    assert second.stop() == 0
