"""What surrounds a call over HTTP is what surrounds it over gRPC; errors arrive with their reasons."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import aiohttp
import pytest
from google.protobuf import json_format
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from afterimage.v1 import record_service_pb2 as records
from afterimage.v1 import search_service_pb2 as search
from service.calls.method import Caller
from service.calls.methods import METHODS
from service.errors import Code, Reason, ServiceError
from service.statuses import http_status
from service.tenancy.apikeys import Scope, key_id_of
from service.web.api.paths import PATHS, served
from tests.service.web.api.conftest import Answer, Http
from tests.support.servers.faces import LIMITS, REQUEST_ID, Faces

INFO, DUPLICATES = "/v1/server", "/v1/collections/shoes:duplicates"
SEARCH, IMPORT = "/v1/collections/shoes:search", "/v1/collections/shoes/records:import"
LINES = {"content-type": "application/x-ndjson"}


async def test_a_call_ends_as_it_does_over_grpc(http: Http) -> None:
    """Every call of tenants: without a key, with another scope, and with two keys."""
    everything = http.key()
    for path, method in ((m.path, m) for m in served().values()):
        wanted = method.row.caller
        cases: list[list[tuple[str, str]]] = [[], [*everything.items()] * 2]
        if isinstance(wanted, Scope):
            cases.append([*http.key(*(s for s in Scope if s is not wanted)).items()])
        for headers in cases:
            over_grpc = await http.faces.grpc(path, [method.request()], headers)
            assert over_grpc.code
            given = [("x-request-id", REQUEST_ID), ("content-type", "application/json"), *headers]
            friendly = next(p for p in PATHS if p.rpc == method.name)
            found = await _sent(http, friendly.verb, friendly.template.replace("{", "").replace("}", ""), given)
            assert json_format.ParseDict(found.json, Status()) == over_grpc.error, path
            connect = await _sent(http, "POST", path, given)
            assert connect.status == found.status
            assert connect.json["code"] == Code(over_grpc.code).name.lower()
            assert len(connect.json["details"]) == len(over_grpc.error.details)


async def _sent(http: Http, verb: str, path: str, headers: list[tuple[str, str]]) -> Answer:
    async with http.session.request(verb, http.faces.http + path, headers=headers, data=b"{}") as answer:
        return Answer(answer.status, answer.headers, await answer.read())


async def test_every_error_of_a_handler_arrives_with_its_details(http: Http) -> None:
    key = http.key()
    for reason in (r for r in Reason if r.code is not Code.INTERNAL):

        async def fail(request: Any, caller: Any, reason: Reason = reason) -> None:
            raise ServiceError(reason, "what went wrong", field="the field", retry_delay_s=1.5)

        http.faces.script = fail
        for path in (INFO, DUPLICATES):
            answer = await http.send("GET", path, {**key, "x-request-id": "mine"})
            assert (answer.status, answer.reason) == (http_status(reason), reason.name)
            assert answer.json["code"] == int(reason.code)
            assert answer.json["message"] == "what went wrong"
            assert answer.headers["x-request-id"] == "mine"
            assert answer.headers["retry-after"] == "2"
            assert answer.headers["cache-control"] == "no-store"
        connect = await http.send("POST", "/afterimage.v1.ServerInfoService/GetServerInfo", key, json={})
        assert connect.json["code"] == reason.code.name.lower()
        detail = connect.json["details"][0]
        assert detail["type"] == "google.rpc.ErrorInfo"
        assert ErrorInfo.FromString(base64.b64decode(detail["value"] + "==")).reason == reason.name


async def test_a_fault_of_the_server_is_told_without_its_cause(http: Http) -> None:
    async def fail(request: Any, caller: Any) -> None:
        raise KeyError("a secret that nobody may see")

    http.faces.script = fail
    answer = await http.send("GET", INFO)
    assert (answer.status, answer.reason) == (500, "INTERNAL")
    assert b"secret" not in answer.body


async def test_paths_and_verbs_that_do_not_exist_are_told_as_every_error(http: Http) -> None:
    for odd in ("/v1/collections/%0Aa/%0A", "/%00", "/v1/x%ff", "//", "/v1/server/", "/v1/Server"):
        assert (await http.send("GET", odd, {})).reason == "PATH_NOT_FOUND", odd
    unknown = await http.send("GET", "/v1/nothing", {})
    assert (unknown.status, unknown.reason) == (404, "PATH_NOT_FOUND")
    verb = await http.send("PUT", "/v1/server", {})
    assert (verb.status, verb.reason, verb.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "GET")
    connect = await http.send("GET", "/afterimage.v1.SearchService/Search", {})
    assert (connect.status, connect.json["code"]) == (405, "unimplemented")
    for answer in (unknown, verb):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"]
        assert answer.headers["server"] == "afterimage"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", ""])
async def test_a_request_for_another_host_is_refused(http: Http, host: str) -> None:
    answer = await http.send("GET", INFO, {**http.key(), "host": host})
    assert (answer.status, answer.reason) == (421, "HOST_UNKNOWN")


async def test_binary_messages_are_connects_other_encoding(http: Http) -> None:
    wanted = search.SearchResponse(allowed_count=7)

    async def found(request: Any, caller: Any) -> Any:
        http.seen.append(request)
        return wanted

    http.faces.script = found
    request = search.SearchRequest(collection="shoes", query=[search.QueryTerm(image=b"\x00\xff")])
    headers = {**http.key(), "content-type": "application/proto", "connect-protocol-version": "1"}
    answer = await http.send("POST", "/afterimage.v1.SearchService/Search", headers, data=request.SerializeToString())
    assert http.last == request
    assert answer.headers["content-type"] == "application/proto"
    assert search.SearchResponse.FromString(answer.body) == wanted
    bad = await http.send("POST", "/afterimage.v1.SearchService/Search", headers, data=b"\xff")
    assert (bad.status, bad.json["code"]) == (400, "invalid_argument")


async def test_connects_paths_speak_canonical_json_and_friendly_ones_the_plain_form(http: Http) -> None:
    hit = search.Hit(record_id="1")
    hit.attributes["color"].string_value = "red"

    async def found(request: Any, caller: Any) -> Any:
        return search.SearchResponse(hits=[hit])

    http.faces.script = found
    friendly = await http.send("POST", SEARCH, json={})
    assert friendly.json["hits"][0]["attributes"] == {"color": "red"}
    assert friendly.json["groups"] == []
    connect = await http.send("POST", "/afterimage.v1.SearchService/Search", json={})
    assert connect.json == {"hits": [{"recordId": "1", "attributes": {"color": {"stringValue": "red"}}}]}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"connect-timeout-ms": "200"}, 0.2), ({"x-timeout": "0.2"}, 0.2), ({"x-timeout": "0.2s"}, 0.2), ({}, 0.5)],
)
async def test_a_call_ends_at_its_deadline(tmp_path: Any, headers: dict[str, str], seconds: float) -> None:
    async def wait(request: Any, caller: Any) -> None:
        await asyncio.Event().wait()

    async with Faces(tmp_path, deadline_s=0.5) as faces, aiohttp.ClientSession() as session:
        http, faces.script = Http(faces, session), wait
        began = asyncio.get_running_loop().time()
        answer = await http.send("GET", INFO, {**http.key(), **headers})
        assert (answer.status, answer.reason) == (504, "DEADLINE")
        assert asyncio.get_running_loop().time() - began >= seconds - 0.05


@pytest.mark.parametrize("headers", [{"connect-timeout-ms": "1.5"}, {"x-timeout": "-1"}, {"x-timeout": "soon"}])
async def test_a_deadline_that_is_no_number_is_refused(http: Http, headers: dict[str, str]) -> None:
    answer = await http.send("GET", INFO, {**http.key(), **headers})
    assert (answer.status, answer.reason) == (400, "ARGUMENT_INVALID")


async def test_the_metrics_and_the_log_name_the_transport(http: Http, capsys: pytest.CaptureFixture[str]) -> None:
    await http.send("GET", INFO)
    labels = 'code="OK",method="/afterimage.v1.ServerInfoService/GetServerInfo",transport="http"'
    assert f"afterimage_calls_total{{{labels}}} 1.0".encode() in http.faces.metrics.text()


async def test_a_revoked_key_ends_a_stream_with_the_error_as_its_last_line(http: Http) -> None:
    key, began = http.key(), asyncio.Event()

    async def slow(request: Any, caller: Any) -> Any:
        if not began.is_set():
            began.set()
            return None
        await asyncio.Event().wait()

    http.faces.script = slow
    url = http.faces.http + IMPORT

    async def body() -> Any:
        yield b"{}\n{}\n"
        await began.wait()
        http.faces.registry.api_keys.revoke(http.faces.uid, key_id_of(key["authorization"].removeprefix("Bearer ")))
        await asyncio.Event().wait()

    async with http.session.post(url, headers={**key, **LINES}, data=body()) as answer:
        lines = [line async for line in answer.content]
    assert b"KEY_REVOKED" in lines[-1]
    assert lines[-1].startswith(b'{"error":')


async def test_streams_go_as_lines_both_ways_and_answer_while_more_comes(http: Http) -> None:
    gate: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def body() -> Any:
        while (chunk := await gate.get()) is not None:
            yield chunk

    first = b'{"records": [{"recordId": "1", "attributes": {"color": "red"}}]}'
    gate.put_nowait(first[:9])
    gate.put_nowait(first[9:] + b"\n\r\n")
    async with http.session.post(
        http.faces.http + IMPORT + "?insertOnly=true", headers={**http.key(), **LINES}, data=body()
    ) as answer:
        assert await answer.content.readline() == b'{"results":[]}\n'
        gate.put_nowait(b'{"collection": "shoes"}')  # the last line needs no end
        gate.put_nowait(None)
        assert await answer.content.read() == b'{"results":[]}\n'
    assert [type(r) for r in http.seen] == [records.ImportRecordsRequest] * 2
    assert [(r.collection, r.insert_only) for r in http.seen] == [("shoes", True)] * 2


async def test_no_answer_tells_the_versions_of_the_server(http: Http) -> None:
    for path in ("/healthz", "/metrics", "/v1/server", "/v1/nothing", "/v1/openapi.json"):
        answer = await http.send("GET", path)
        assert answer.headers["server"] == "afterimage", path


async def test_an_error_in_a_stream_names_its_line(http: Http) -> None:
    for broken, said in ((b'{"records": [}', "line 3 of the stream: the body is not valid JSON: column "),
                         (b'{"recordss": []}', "line 3 of the stream: ")):  # fmt: skip
        body = b'{"collection": "shoes"}\n\n' + broken + b"\n"
        answer = await http.send("POST", IMPORT, {**http.key(), **LINES}, data=body)
        assert answer.lines[-1]["error"]["message"].startswith(said), answer.body


async def test_events_are_sent_to_who_accepts_them(http: Http) -> None:
    answer = await http.send("GET", DUPLICATES, {**http.key(), "accept": "text/event-stream"})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body.startswith(b"data: {")
    assert answer.body.endswith(b"}\n\n")


async def test_bodies_in_other_forms_are_refused(http: Http) -> None:
    for headers in (
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/connect+json"},
    ):
        answer = await http.send("POST", SEARCH, {**http.key(), **headers}, data=b"k=5")
        assert (answer.status, answer.reason) == (415, "MEDIA_TYPE_UNSUPPORTED")
        assert "image/jpeg" in answer.json["message"]
        other = await http.send("POST", "/v1/sources", {**http.key(), **headers}, data=b"k=5")
        assert "image/jpeg" not in other.json["message"]
    assert (await http.send("POST", SEARCH, data=b"{}")).status == 415  # no content-type


async def test_a_body_that_is_too_large_is_refused_before_and_while_it_is_read(http: Http) -> None:
    json = {**http.key(), "content-type": "application/json"}
    large = b" " * (LIMITS.message_bytes + 1)

    async def chunks() -> Any:
        for start in range(0, len(large), 1 << 16):
            yield large[start : start + (1 << 16)]

    for data in (io.BytesIO(large), chunks()):
        answer = await http.send("POST", SEARCH, json, data=data)
        assert (answer.status, answer.reason) == (413, "BODY_TOO_LARGE")
    answer = await http.send("POST", IMPORT, {**http.key(), **LINES}, data=io.BytesIO(large))
    assert (answer.status, answer.reason) == (413, "BODY_TOO_LARGE")


async def test_a_field_is_in_the_path_or_in_the_body_but_not_different_in_both(http: Http) -> None:
    assert (await http.send("POST", SEARCH, json={"collection": "shoes"})).status == 200
    other = await http.send("POST", SEARCH, json={"collection": "hats"})
    assert (other.status, other.reason) == (400, "ARGUMENT_INVALID")
    twice = await http.send("POST", SEARCH + "?k=3", json={"k": 5})
    assert (twice.status, twice.reason) == (400, "ARGUMENT_INVALID")
    again = await http.send("GET", DUPLICATES + "?filter=a&filter=b")
    assert (again.status, again.reason) == (400, "ARGUMENT_INVALID")
    unknown = await http.send("GET", DUPLICATES + "?colour=s3cret")
    assert (unknown.status, unknown.reason) == (400, "FIELD_UNKNOWN")
    assert b"s3cret" not in unknown.body


async def test_query_strings_have_the_types_of_their_fields(http: Http) -> None:
    path = SEARCH + "?k=5&include_vectors=true&exact=false&maxDistance=0.5&fields=a&fields=b&emphasis.shape=2&x-y=1"
    answer = await http.send("POST", path, json={})
    assert answer.reason == "FIELD_UNKNOWN"
    await http.send("POST", path.removesuffix("&x-y=1"), json={"query": [{"recordId": "1"}]})
    expected = search.SearchRequest(
        collection="shoes", query=[search.QueryTerm(record_id="1")], k=5, include_vectors=True, max_distance=0.5,
        fields=["a", "b"], emphasis={"shape": 2},
    )  # fmt: skip
    assert http.last == expected
    for wrong in ("k=five", "exact=yes", "query=1", "maxDistance=x", "k=%ff"):
        assert (await http.send("POST", f"{SEARCH}?{wrong}", json={})).status == 400, wrong


def test_worker_calls_are_not_served() -> None:
    assert not any(m.row.caller is Caller.WORKER for m in served().values())
    assert len(served()) == len(METHODS) - 2
