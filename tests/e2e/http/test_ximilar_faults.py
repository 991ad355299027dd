"""Every fault over Ximilar's API: HTTP's status, the code, and the place where the reason is told."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from service.tenancy.apikeys import Scope
from service.tenancy.limits import Limits
from tests.support.data.pictures import png
from tests.support.servers.server import Server

_TENANT = "faults-of-ximilar"
PHOTOS = "similarity/photos/v2/"
PICTURE = base64.b64encode(png(1)).decode()
RECORD, QUERY = {"_id": "new", "_base64": PICTURE}, {"query_record": {"_id": "1"}}


@dataclass
class Shop:
    """A collection `shoes` with the record `1`, and another key that may only search."""

    server: Server
    key: str
    searching: str

    def send(self, path: str, body: Any = None, verb: str = "POST", **headers: str) -> tuple[int, dict[str, Any], Any]:
        connection = http.client.HTTPConnection(self.server.http, timeout=60)
        try:
            given = {"authorization": f"JWT {self.key}", "collection-id": "shoes"}
            given |= {name.replace("_", "-"): value for name, value in headers.items()}
            raw = body if type(body) is bytes else json.dumps(body).encode() if body is not None else None
            connection.request(verb, f"/ximilar/{path}", raw, {n: v for n, v in given.items() if v})
            answer = connection.getresponse()
            found = json.loads(answer.read())
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-request-id"] == found["status"]["request_id"]
            return answer.status, found, answer.headers
        finally:
            connection.close()


@pytest.fixture(scope="module")
def shop(server: Server) -> Iterator[Shop]:
    key = server.key(_TENANT)
    with server.client(key) as client:
        client.create_collection("shoes")
        made = Shop(server, key, server.key(_TENANT, [Scope.SEARCH]))
        assert made.send(PHOTOS + "insert", {"records": [{"_id": "1", "_base64": PICTURE}]})[0] == 200
        yield made


def many(number: int) -> dict[str, Any]:
    return {"records": [RECORD] * number}


def one(**fields: Any) -> dict[str, Any]:
    return {"records": [{**RECORD, **fields}]}


def query(**fields: Any) -> dict[str, Any]:
    return {**QUERY, **fields}


@pytest.mark.parametrize(
    ("path", "body", "http_status", "code", "reason"),
    [
        (PHOTOS + "insert", b"no json", 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "insert", b"[1]", 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "insert", b"", 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "insert", b'{"records": ' + b"[" * 50 + b"]" * 50 + b"}", 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "insert", many(101), 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "insert", many(0), 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "insert", {"records": "x"}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "visualKNN", query(k=0), 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "visualKNN", query(k=1001), 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "visualKNN", query(k=10**40), 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "visualKNN", query(radius=-1), 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "visualKNN", query(fields_to_return="_id"), 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "visualKNN", query(filter={"a": {"$where": 1}}), 400, 400, "FILTER_INVALID"),
        (PHOTOS + "visualKNN", {}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "visualKNN", {"query_record": 5}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "visualKNN", {"query_record": {"_base64": "AAAA"}}, 400, 400, "IMAGE_FORMAT_UNSUPPORTED"),
        (PHOTOS + "visualKNN", {"query_record": {"_base64": "A A"}}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "visualKNN", {"query_record": {"_id": "none"}}, 404, 404, "RECORD_NOT_FOUND"),
        (PHOTOS + "visualRankRecords", {**QUERY, **many(1)}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "random", {"count": 0}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "allRecords?size=10&page=99999999999", {}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "allRecords?size=-1", {}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "allRecords?size=1001", {}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "allRecords", {"filter": {"_id": {"$ne": "1"}}}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "deleteByFilter", {"filter": {}}, 400, 400, "ARGUMENT_INVALID"),
        (PHOTOS + "%00", {}, 404, 404, "PATH_NOT_FOUND"),
        ("", {}, 404, 404, "PATH_NOT_FOUND"),
        ("similarity/photos/v3/insert", {}, 404, 404, "PATH_NOT_FOUND"),
        (PHOTOS + "search_by_object", {}, 501, 501, "CALL_NOT_SERVED"),
        ("image_matching/v2/visual_hash", {}, 501, 501, "CALL_NOT_SERVED"),
        ("tagging/fashion/v2/tags", {}, 501, 501, "CALL_NOT_SERVED"),
        ("detection/v2/detect/", {}, 501, 501, "CALL_NOT_SERVED"),
        ("recognition/v2/training-image/", {}, 501, 501, "CALL_NOT_SERVED"),
        ("similarity/training/v2/group/", {}, 501, 501, "CALL_NOT_SERVED"),
        ("account/v2/request/", {}, 501, 501, "CALL_NOT_SERVED"),
        ("recognition/v2/classify", {"records": [RECORD], "task_id": "no-colon"}, 404, 404, "COLLECTION_NOT_FOUND"),
        ("recognition/v2/classify", {"records": [RECORD], "task_id": "none:a"}, 404, 404, "COLLECTION_NOT_FOUND"),
        ("recognition/v2/classify", {"records": [RECORD]}, 400, 400, "ARGUMENT_INVALID"),
        ("similarity/training/v2/descriptor", {"records": [RECORD], "task_id": "none"}, 400, 400, "ENCODER_UNKNOWN"),
    ],
)  # fmt: skip
def test_a_request_that_fails_as_a_whole(
    shop: Shop, path: str, body: Any, http_status: int, code: int, reason: str
) -> None:
    status, found, _ = shop.send(path, body)
    assert (status, found["status"]["code"], found["status"]["reason"]) == (http_status, code, reason)
    assert found["detail"] == found["status"]["text"] != ""


@pytest.mark.parametrize(
    ("path", "body", "http_status", "code", "of_record"),
    [
        ("insert", one(_id="1"), 409, 411, 211),
        ("insert", one(_id=None), 400, 400, 400),
        ("insert", one(_id=""), 400, 400, 400),
        ("insert", one(_id={"a": 1}), 400, 400, 400),
        ("insert", one(_id="x" * 257), 400, 400, 400),
        ("insert", one(_base64="@@"), 400, 400, 400),
        ("insert", one(_base64="AAAA"), 400, 400, 400),
        ("insert", one(_base64=None), 400, 400, 400),
        ("insert", one(_base64=None, _url="http://127.0.0.1/x.png"), 403, 403, 403),
        ("insert", one(_base64=None, _url="no url"), 400, 400, 400),
        ("insert", one(**{"a-b": 1, "a_b": 2}), 400, 400, 400),
        ("insert", one(a="x" * 1025), 400, 400, 400),
        ("insert", one(a=2**60), 400, 400, 400),
        ("insert", one(a=["x"] * 65), 400, 400, 400),
        ("insert", one(**{f"a{n}": n for n in range(65)}), 400, 400, 400),
        ("insert", one(product_id=[1]), 400, 400, 400),
        ("get", {"records": [{"_id": "none"}]}, 404, 404, 404),
        ("get", {"records": [{}]}, 400, 400, 400),
        ("update", {"records": [{"_id": "none", "a": 1}]}, 404, 404, 404),
        ("update", {"records": [{"_id": "1", "a": "x" * 1025}]}, 400, 400, 400),
        ("update", {"records": [{"a": 1}]}, 400, 400, 400),
        ("delete", {"records": [{"_id": "none"}]}, 404, 404, 404),
        ("delete", {"records": [{}]}, 400, 400, 400),
    ],
)
def test_a_record_that_fails_says_why(
    shop: Shop, path: str, body: Any, http_status: int, code: int, of_record: int
) -> None:
    status, found, _ = shop.send(PHOTOS + path, body)
    assert (status, found["status"]["code"]) == (http_status, code)
    (skipped,) = found["skipped_records"]
    assert skipped["_reason"]["status"]["code"] == of_record
    assert skipped["_reason"]["status"]["text"]
    assert found["answer_records"] == []


@pytest.mark.parametrize(
    ("headers", "path", "http_status", "reason"),
    [
        ({"authorization": ""}, "insert", 401, "KEY_MISSING"),
        ({"authorization": "Token none"}, "insert", 401, "KEY_INVALID"),
        ({"authorization": "Basic none"}, "insert", 401, "KEY_INVALID"),
        ({"collection_id": ""}, "insert", 400, "ARGUMENT_INVALID"),
        ({"collection_id": "none"}, "insert", 404, "COLLECTION_NOT_FOUND"),
        ({"collection_id": "../x"}, "insert", 404, "COLLECTION_NOT_FOUND"),
        ({"host": "evil.example"}, "insert", 421, "HOST_UNKNOWN"),
        ({"content_encoding": "br"}, "insert", 415, "MEDIA_TYPE_UNSUPPORTED"),
        ({"verb": "GET"}, "insert", 405, "METHOD_NOT_ALLOWED"),
        ({"verb": "DELETE"}, "insert", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_keys_headers_and_methods_are_judged(
    shop: Shop, headers: dict[str, str], path: str, http_status: int, reason: str
) -> None:
    status, found, sent = shop.send(PHOTOS + path, one(), **headers)
    assert (status, found["status"]["code"], found["status"]["reason"]) == (http_status, http_status, reason)
    assert sent.get("allow") == ("POST" if http_status == 405 else None)


def test_a_key_needs_the_scope_of_the_call(shop: Shop) -> None:
    key = {"authorization": f"Token {shop.searching}"}
    for path in ("insert", "update", "delete"):
        assert shop.send(PHOTOS + path, one(), **key)[:1] == (403,)
    assert shop.send("similarity/training/v2/descriptor", one(), **key)[0] == 403
    assert shop.send(PHOTOS + "visualKNN", QUERY, **key)[0] == 200
    inserting = {"authorization": f"bearer {shop.server.key(_TENANT, [Scope.INSERT])}"}
    status, found, _ = shop.send(PHOTOS + "update", {"records": [{"_id": "1", "a": 1}]}, **inserting)
    assert (status, found["answer_records"]) == (200, [{"_id": "1"}])
    assert "lacks the scope search" in found["status"]["text"]


def test_a_body_beyond_the_limit_is_413(shop: Shop) -> None:
    status, found, _ = shop.send(PHOTOS + "insert", b" " * (28 << 20))
    assert (status, found["status"]["code"], found["status"]["reason"]) == (413, 413, "BODY_TOO_LARGE")


def test_a_full_quota_is_412_and_507(shop: Shop) -> None:
    key = shop.server.key("small-shop")
    with shop.server.client(key) as client, shop.server.registry() as registry:
        client.create_collection("shoes")
        registry.limits.set(registry.tenant("small-shop").uid, Limits(records=1))
    assert shop.send(PHOTOS + "insert", one(), authorization=f"JWT {key}")[0] == 200
    status, found, _ = shop.send(PHOTOS + "insert", one(_id="2"), authorization=f"JWT {key}")
    assert (status, found["status"]["code"]) == (507, 412)
    assert found["skipped_records"][0]["_reason"]["status"]["reason"] == "QUOTA_EXCEEDED"


def test_a_wrong_key_is_refused_before_the_body_is_sent(shop: Shop) -> None:
    host, _, port = shop.server.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST /ximilar/{PHOTOS}insert HTTP/1.1\r\nHost: localhost\r\nAuthorization: JWT none\r\n"
        connection.sendall(f"{head}Content-Length: 20000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_a_compressed_body_and_one_without_a_content_type_are_read(shop: Shop) -> None:
    raw = gzip.compress(json.dumps(QUERY).encode())
    assert shop.send(PHOTOS + "visualKNN", raw, content_encoding="gzip")[0] == 200
    assert shop.send(PHOTOS + "visualKNN", QUERY, content_type="application/json;charset=UTF-8")[0] == 200


def test_nothing_counts_as_in_flight_afterwards(shop: Shop) -> None:
    for body in (one(_id="1"), many(101), b"no json"):
        shop.send(PHOTOS + "insert", body)
    shop.send("recognition/v2/classify", {"records": [RECORD] * 9, "task_id": "shoes:a"})
    with urllib.request.urlopen(f"http://{shop.server.http}/metrics") as page:
        (line,) = [v for v in page.read().decode().splitlines() if v.startswith("afterimage_in_flight_bytes ")]
    assert float(line.split()[1]) == 0
