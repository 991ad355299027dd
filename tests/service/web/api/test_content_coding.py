"""Bodies that are compressed: both ways, within limits, and never where a web page could learn from sizes."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterimage.v1 import collection_service_pb2 as collections
from service.errors import ServiceError
from service.web.api.content_coding import PIECE_BYTES, Inflater
from tests.service.web.api.conftest import Answer, Http
from tests.support.servers.faces import LIMITS

SEARCH, IMPORT = "/v1/collections/shoes:search", "/v1/collections/shoes/records:import"
GZIP = {"content-encoding": "gzip"}


def of_json(http: Http, **more: str) -> dict[str, str]:
    return {**http.key(), "content-type": "application/json", **more}


async def sent(http: Http, raw: bytes, coding: str = "gzip") -> Answer:
    return await http.send("POST", SEARCH, of_json(http, **{"content-encoding": coding}), data=raw)


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=3), st.data())
def test_any_members_in_any_parts_are_inflated(members: list[bytes], data: st.DataObject) -> None:
    raw = b"".join(gzip.compress(member) for member in members)
    inflater, found, start = Inflater(), b"", 0
    while start < len(raw):
        end = data.draw(st.integers(start + 1, len(raw)))
        inflater.feed(raw[start:end])
        while piece := inflater.piece():
            found += piece
        start = end
    inflater.end()
    assert found == b"".join(members)
    cut = Inflater()
    cut.feed(raw[:-1])
    with pytest.raises(ServiceError):  # noqa: PT012
        while cut.piece():
            pass
        cut.end()


def test_pieces_are_small_however_much_is_compressed() -> None:
    inflater = Inflater()
    inflater.feed(gzip.compress(bytes(10_000_000)))
    while piece := inflater.piece():
        assert len(piece) <= PIECE_BYTES
    inflater.end()


async def test_a_compressed_body_is_read(http: Http) -> None:
    body = json.dumps({"k": 7, "filter": "a" * 5000}).encode()
    for raw, coding in (
        (gzip.compress(body), "gzip"), (gzip.compress(body), "x-gzip"), (gzip.compress(body), "GZip"),
        (gzip.compress(body), "identity, gzip"), (gzip.compress(body[:9]) + gzip.compress(body[9:]), "gzip"),
        (body, "identity"),
    ):  # fmt: skip
        answer = await sent(http, raw, coding)
        assert (answer.status, http.last.k, len(http.last.filter)) == (200, 7, 5000), coding


# The ids are given: those made of compressed bytes would hold the time, and differ between the workers of pytest-xdist.
@pytest.mark.parametrize(
    "raw",
    [b"x", b"", b"{}", gzip.compress(b"{}")[:-1], gzip.compress(b"{}") + b"x"],
    ids=["text", "empty", "JSON", "cut short", "more after it"],
)
async def test_what_is_no_gzip_is_refused(http: Http, raw: bytes) -> None:
    answer = await sent(http, raw)
    assert answer.status == (200 if not raw else 400)  # an empty body is an empty request, compressed or not
    assert not raw or answer.reason == "ARGUMENT_INVALID"


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "compress", "gzip;q=1"])
async def test_other_codings_are_refused(http: Http, coding: str) -> None:
    answer = await sent(http, b"x", coding)
    assert (answer.status, answer.reason) == (415, "MEDIA_TYPE_UNSUPPORTED")
    assert "gzip" in answer.json["message"]


async def test_a_bomb_ends_at_the_limit_of_a_message(http: Http) -> None:
    bomb = gzip.compress(b" " * (50 * LIMITS.message_bytes))
    form = (
        b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + bytes(50 * LIMITS.message_bytes) + b"\r\n--x--"
    )
    for path, kind, raw in (
        (SEARCH, "application/json", bomb), (SEARCH, "image/jpeg", bomb),
        (SEARCH, "multipart/form-data; boundary=x", gzip.compress(form)), (IMPORT, "application/x-ndjson", bomb),
    ):  # fmt: skip
        answer = await http.send("POST", path, {**http.key(), "content-type": kind, **GZIP}, data=raw)
        error = answer.json.get("error", answer.json)
        assert "BODY_TOO_LARGE" in json.dumps(error), kind
    async with asyncio.timeout(10):
        while http.faces.limiter.bytes.used:
            await asyncio.sleep(0)


async def test_pictures_forms_and_lines_can_be_compressed(http: Http) -> None:
    headers = {**http.key(), "content-type": "image/jpeg", **GZIP}
    assert (await http.send("POST", f"{SEARCH}?k=3", headers, data=gzip.compress(b"\xff\xd8"))).status == 200
    assert http.last.query[0].image == b"\xff\xd8"
    form = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n\xff\xd9\r\n--x--\r\n'
    headers["content-type"] = "multipart/form-data; boundary=x"
    assert (await http.send("POST", SEARCH, headers, data=gzip.compress(form))).status == 200
    assert http.last.query[0].image == b"\xff\xd9"
    headers["content-type"] = "application/x-ndjson"
    lines = b"".join(b'{"collection": "shoes", "records": [{"recordId": "%d"}]}\n' % n for n in range(1000))
    answer = await http.send("POST", IMPORT, headers, data=gzip.compress(lines))
    assert len(answer.lines) == 1000


def many(count: int) -> Any:
    response = collections.ListCollectionsResponse()
    for number in range(count):
        response.collections.add(name=f"shoes-{number}")
    return response


async def listed(http: Http, headers: dict[str, str], count: int = 400) -> Answer:
    async def answer(request: object, caller: object) -> object:
        return many(count)

    http.faces.script = answer
    http.session._auto_decompress = False
    return await http.send("GET", "/v1/collections", headers)


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True), ("br, gzip;q=0.5", True), ("GZIP", True), ("x-gzip", True), ("*", True), ("gzip;q=0", False),
        ("gzip;q=0, *", False), ("identity", False), ("br", False), ("", False), ("gzip;q=x", False),
        ("*;q=0", False), ("deflate, br", False), ("gzip; q=1.0", True), ("gzip;q=.", False),
    ],
)  # fmt: skip
async def test_large_responses_are_compressed_for_clients_that_accept_it(
    http: Http, accepted: str, compressed: bool
) -> None:
    answer = await listed(http, {**http.key(), "accept-encoding": accepted})
    assert ("content-encoding" in answer.headers) is compressed
    body = gzip.decompress(answer.body) if compressed else answer.body
    assert len(json.loads(body)["collections"]) == 400
    assert not compressed or len(answer.body) < len(body) / 4
    assert answer.headers["vary"] == "Accept-Encoding"


async def test_small_responses_and_errors_are_not_compressed(http: Http) -> None:
    accepting = {"accept-encoding": "gzip"}
    assert "content-encoding" not in (await listed(http, {**http.key(), **accepting}, count=3)).headers
    assert "content-encoding" not in (await http.send("GET", "/v1/nothing", accepting)).headers
