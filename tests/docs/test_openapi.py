"""The OpenAPI document describes every path, with the comments of the protos, and the server gives it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from docs import openapi
from service.web.api.door import OPENAPI_PATH
from service.web.api.paths import PATHS, served
from tests.support.servers.faces import Faces

DOCUMENT: dict[str, Any] = json.loads(openapi.render())


def test_the_committed_document_is_current() -> None:
    committed = Path(__file__).parents[2] / "service" / "web" / "api" / "openapi.json"
    assert committed.read_text() == openapi.render()


def test_every_path_is_described_with_its_comment() -> None:
    operations = {(verb, path): o for path, found in DOCUMENT["paths"].items() for verb, o in found.items()}
    assert len(operations) == len(PATHS) == len(served())
    assert {o["operationId"] for o in operations.values()} == {path.rpc.replace("/", "_") for path in PATHS}
    for place, operation in operations.items():
        assert len(operation["summary"]) > 10, place
        assert {"200", "default"} == operation["responses"].keys()


def test_every_reference_leads_somewhere() -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                target: Any = DOCUMENT
                for part in value["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(DOCUMENT)


@pytest.mark.parametrize(
    ("schema", "field", "expected"),
    [
        (
            "SearchRequest",
            "emphasis",
            {"type": "object", "additionalProperties": {"type": "number", "format": "float"}},
        ),
        ("Hit", "vector", {"type": "string", "format": "byte", "contentEncoding": "base64"}),
        ("SearchResponse", "indexTime", {"type": "string", "format": "date-time"}),
        ("SearchResponse", "path", {"$ref": "#/components/schemas/SearchPath"}),
        ("RecordPatch", "removeAttributes", {"type": "array", "items": {"type": "string"}}),
    ],
)
def test_fields_have_the_types_of_proto3_json(schema: str, field: str, expected: dict[str, Any]) -> None:
    found = dict(DOCUMENT["components"]["schemas"][schema]["properties"][field])
    found.pop("description", None)
    assert found == expected


def test_responses_have_all_fields_that_cannot_be_absent_and_requests_may_leave_out_any() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert {"hits", "groups", "encoderId", "path"} <= set(schemas["SearchResponse"]["required"])
    assert not {"indexTime", "timings"} & set(schemas["SearchResponse"]["required"])
    assert schemas["Region"]["required"] == ["left", "top", "right", "bottom"]
    assert "required" not in schemas["RegionInput"]
    assert schemas["QueryTermInput"]["properties"]["region"]["$ref"].endswith("/RegionInput")


def test_each_operation_says_whether_it_may_be_sent_again() -> None:
    found = {o["operationId"]: o["x-retry-safe"] for path in DOCUMENT["paths"].values() for o in path.values()}
    assert (found["SearchService_Search"], found["RecordService_InsertRecords"]) == (True, True)
    assert (found["SyncService_StartRun"], found["CollectionService_CreateCollection"]) == (False, False)


def test_streams_name_the_type_of_their_lines() -> None:
    lines = DOCUMENT["paths"]["/v1/runs/{run_id}:watch"]["get"]["responses"]["200"]["content"]["application/x-ndjson"]
    assert lines["x-item-schema"] == {"$ref": "#/components/schemas/WatchRunResponse"}


async def test_the_server_gives_it_out_without_a_key(tmp_path: Path) -> None:
    async with Faces(tmp_path) as faces, aiohttp.ClientSession() as session:
        async with session.get(faces.http + OPENAPI_PATH) as answer:
            assert answer.status == 200
            assert await answer.json() == DOCUMENT
        async with session.post(faces.http + OPENAPI_PATH) as answer:
            assert (answer.status, answer.headers["allow"]) == (405, "GET")
