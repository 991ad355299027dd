"""Pictures as bytes: as the body of a request and in a form, never on a disk."""

from __future__ import annotations

import io
import random
import tempfile
from collections import Counter
from typing import Any

import aiohttp
import pytest

from afterimage.v1 import record_service_pb2 as records
from afterimage.v1 import search_service_pb2 as search
from tests.service.web.api.conftest import Http
from tests.support.servers.faces import LIMITS

SEARCH, INSERT = "/v1/collections/shoes:search", "/v1/collections/shoes/records:insert"
PICTURE = b"\xff\xd8\x00picture\r\n--not a boundary\r\n" * 9


def picture(http: Http, kind: str = "image/jpeg") -> dict[str, str]:
    return {**http.key(), "content-type": kind}


def form(*parts: tuple[str, bytes]) -> aiohttp.FormData:
    """A form as curl sends it: a picture has a file name, and a text has none."""
    made = aiohttp.FormData()
    for name, content in parts:
        if content == PICTURE:
            made.add_field(name, content, filename="q.jpg", content_type="image/jpeg")
        else:
            made.add_field(name, content.decode())
    return made


@pytest.mark.parametrize("kind", ["image/jpeg", "image/x-anything", "application/octet-stream", "IMAGE/PNG; q=1"])
async def test_a_body_that_is_a_picture_is_the_query(http: Http, kind: str) -> None:
    answer = await http.send("POST", SEARCH + "?k=5&filter=price%20%3C%209&weight=2", picture(http, kind), data=PICTURE)
    assert answer.status == 200, answer.body
    term = search.QueryTerm(image=PICTURE, weight=2)
    assert http.last == search.SearchRequest(collection="shoes", query=[term], k=5, filter="price < 9")


async def test_a_body_that_is_a_picture_is_a_record(http: Http) -> None:
    path = INSERT + "?record_id=7&attributes.color=red&region.right=0.5&insertOnly=true"
    assert (await http.send("POST", path, picture(http), data=PICTURE)).status == 200
    record = records.RecordInput(record_id="7", image=PICTURE)
    record.attributes["color"].string_value = "red"
    record.region.right = 0.5
    assert http.last == records.InsertRecordsRequest(collection="shoes", records=[record], insert_only=True)


async def test_a_form_has_the_request_in_json_and_pictures_by_index(http: Http) -> None:
    made = form(
        ("request", b'{"query": [{"recordId": "1"}, {"weight": -1}], "k": 3}'), ("image", PICTURE), ("exact", b"true")
    )
    assert (await http.send("POST", SEARCH, http.key(), data=made, skip_auto_headers=())).status == 200
    terms = [search.QueryTerm(record_id="1"), search.QueryTerm(image=PICTURE, weight=-1)]
    assert http.last == search.SearchRequest(collection="shoes", query=terms, k=3, exact=True)
    made = form(("image-1", PICTURE), ("image-0", PICTURE), ("request", b'{"records": [{"recordId": "a"}]}'))
    assert (await http.send("POST", INSERT, http.key(), data=made, skip_auto_headers=())).status == 200
    assert [(r.record_id, r.image) for r in http.last.records] == [("a", PICTURE), ("", PICTURE)]


async def test_a_form_ranks_pictures(http: Http) -> None:
    made = form(("query", PICTURE), ("image", PICTURE), ("image", PICTURE))
    assert (await http.send("POST", "/v1/rank", http.key(), data=made, skip_auto_headers=())).status == 200
    one = search.PictureInput(image=PICTURE)
    assert http.last == search.RankRequest(query=one, pictures=[one, one])


@pytest.mark.parametrize(
    "parts",
    [
        [("image-x", PICTURE)],
        [("image-1000000", PICTURE)],
        [("image-0", PICTURE), ("image-0", PICTURE)],
        [("request", b'{"query": [{"url": "https://shop.example/1"}]}'), ("image-0", PICTURE)],
        [("image", PICTURE), ("request", b"{}"), ("request", b"{}")],
        [("image", PICTURE), ("request", b"no JSON")],
        [("image", PICTURE), ("colour", b"red")],
    ],
)
async def test_a_form_that_says_something_else_is_refused(http: Http, parts: list[tuple[str, bytes]]) -> None:
    answer = await http.send("POST", SEARCH, http.key(), data=form(*parts), skip_auto_headers=())
    assert answer.status == 400, answer.body
    assert not http.seen


@pytest.mark.parametrize(
    "body",
    [b"", b"--x", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--\r\n", b"x" * 999,
     b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\na\r\n--y--\r\n--x--\r\n"],
)  # fmt: skip
@pytest.mark.parametrize("boundary", ["; boundary=x", "", "; boundary=" + "y" * 100])
async def test_a_form_that_is_none_is_refused(http: Http, body: bytes, boundary: str) -> None:
    answer = await http.send("POST", SEARCH, picture(http, "multipart/form-data" + boundary), data=body)
    assert answer.status in (200, 400), answer.body
    assert answer.status == 400 or not http.last.query


PIECES = (
    b"--x", b"--x--", b"\r\n", b"\r\n\r\n", b"\n", b'Content-Disposition: form-data; name="image"', b"\xff\x00", b": ",
    b'Content-Disposition: form-data; name="\x1f\xc2"', b"Content-Disposition: \xff", b"Content-Type: x; charset=no",
    b"Content-Length: -1", b"Content-Length: 9", b"Content-Transfer-Encoding: base64", b"Content-Encoding: gzip", b"{}",
    b"Content-Disposition: attachment; filename*=a'b'c", b"A" * 9000, b'Content-Disposition: form-data; name="request"',
)  # fmt: skip


async def test_no_bytes_in_a_form_are_a_fault_of_the_server(http: Http) -> None:
    chosen, headers, statuses = random.Random(1), picture(http, "multipart/form-data; boundary=x"), Counter[int]()
    for _ in range(150):
        body = b"--x\r\n" + b"".join(chosen.choice((piece, piece + b"\r\n")) for piece in chosen.choices(PIECES, k=9))
        statuses[(await http.send("POST", SEARCH, headers, data=body)).status] += 1
    assert statuses.keys() <= {200, 400}


async def test_a_form_that_is_too_large_is_refused(http: Http) -> None:
    made = form(("image", PICTURE))
    made.add_field("request", io.BytesIO(b" " * (LIMITS.message_bytes + 1)))
    answer = await http.send("POST", SEARCH, http.key(), data=made, skip_auto_headers=())
    assert (answer.status, answer.reason) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("path", ["/v1/sources", "/v1/collections", "/v1/search:batch"])
async def test_calls_without_pictures_take_none(http: Http, path: str) -> None:
    answer = await http.send("POST", path, picture(http), data=PICTURE)
    assert (answer.status, answer.reason) == (415, "MEDIA_TYPE_UNSUPPORTED")


async def test_no_picture_reaches_a_temporary_file(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a request made a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, fail)
    large = bytes(LIMITS.message_bytes - 4096)

    async def chunks() -> Any:
        for start in range(0, len(large), 1 << 16):
            yield large[start : start + (1 << 16)]

    async def parts() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="q.jpg"\r\n\r\n'
        async for chunk in chunks():
            yield chunk
        yield b"\r\n--x--\r\n"

    for kind, data in (("image/jpeg", chunks()), ("multipart/form-data; boundary=x", parts())):
        assert (await http.send("POST", SEARCH, picture(http, kind), data=data)).status == 200
        assert http.last.query[0].image == large
