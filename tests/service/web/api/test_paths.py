"""Every RPC of tenants has a friendly path and Connect's, and both reach its handler."""

from __future__ import annotations

import re
from typing import Any

import pytest

from service.calls.methods import METHODS
from service.web.api.paths import PATHS, differing, served
from service.web.api.routes import Allowed, Route, Routes
from tests.service.web.api.conftest import Http


def test_every_rpc_has_exactly_one_path() -> None:
    assert differing(PATHS) == set()
    assert len({path.rpc for path in PATHS}) == len(PATHS)
    assert {name for name in (m.name for m in METHODS.values()) if name not in served()} == {
        "WorkerService/GetQueue", "WorkerService/WorkOnRun",
    }  # fmt: skip


def test_an_rpc_without_a_path_is_found() -> None:
    assert differing(PATHS[1:]) == {PATHS[0].rpc}


def test_no_two_paths_are_one() -> None:
    shapes = [(path.verb, re.sub(r"\{[^}]+\}", "{}", path.template)) for path in PATHS]
    assert len(set(shapes)) == len(shapes)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.rpc)
def test_a_path_names_fields_of_its_request(path: Any) -> None:
    request = served()[path.rpc].request
    for name in (*re.findall(r"\{([^}]+)\}", path.template), path.body, path.pictures, path.one_picture):
        message: Any = request.DESCRIPTOR
        for part in filter(None, name.split(".")):
            message = message.fields_by_name[part].message_type


def test_streams_have_no_field_that_reads_as_an_error() -> None:
    for method in served().values():
        if method.kind.streams_responses:
            assert "error" not in method.response.DESCRIPTOR.fields_by_name


def test_variables_are_decoded_and_never_empty() -> None:
    routes = Routes()
    found = routes.find("GET", "/v1/collections/shoes/records/a%2Fb%3Ac%20%C3%A9/picture-link")
    assert isinstance(found, Route)
    assert found.variables == {"collection": "shoes", "record_id": "a/b:c é"}
    for path in ("/v1/collections//records", "/v1/collections/%ff", "/v1", "/", "", "/v1/collections/a/b/c/d", "/v2/x"):
        assert routes.find("GET", path) is None, path
    assert routes.find("POST", "/v1/collections/shoes") == Allowed(("DELETE", "GET", "PATCH"))
    assert routes.find("GET", "/afterimage.v1.SearchService/Search") == Allowed(("POST",))
    assert routes.find("POST", "/afterimage.v1.WorkerService/GetQueue") is None


async def test_every_call_is_reached_by_both_of_its_paths(http: Http) -> None:
    key = http.key()
    for path in PATHS:
        method = served()[path.rpc]
        template = re.sub(r"\{([^}]+)\}", lambda m: m[1].replace(".", "-"), path.template)
        answer = await http.send(path.verb, template, key, data=b"{}", **_json(key))
        assert answer.status == 200, (path, answer.body)
        assert type(http.last) is method.request
        for name in re.findall(r"\{([^}]+)\}", path.template):
            value: Any = http.last
            for part in name.split("."):
                value = getattr(value, part)
            assert value == name.replace(".", "-")
        seen = len(http.seen)
        answer = await http.send("POST", method.path, key, json={})
        assert (answer.status, len(http.seen)) == (200, seen + 1), path


def _json(key: dict[str, str]) -> dict[str, Any]:
    key["content-type"] = "application/json"
    return {}
