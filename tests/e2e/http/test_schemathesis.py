"""Requests made from the OpenAPI document: no unexpected error of a real server, and no response against its schema.

What only a comment says (a limit, a pattern, a needed field) is not in the schemas, so valid data may be refused.
"""

from __future__ import annotations

import http.client
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.web.api.paths import PATHS
from tests.support.servers.server import Server

DOCUMENT = Path(__file__).parents[3] / "service" / "web" / "api" / "openapi.json"
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    response_headers_conformance,
]  # fmt: skip
REAL = {"collection": "shoes", "name": "shoes", "record_id": "1", "source": "feed", "training_set": "set"}


@schemathesis.serializer("application/x-ndjson")
def _lines(ctx: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


class Fuzzed:
    """A server, and what it answered."""

    def __init__(self, server: Server, key: str) -> None:
        self._address, self._headers = server.http, {"Authorization": f"Bearer {key}"}
        self.statuses, self._chosen = Counter[int](), random.Random(1)
        self._full = False

    def fill_again(self) -> None:
        """Makes what the names of REAL stand for, where a request may have deleted it."""
        if self._full:
            return
        self._full = True
        vector = {"recordId": "1", "vector": "AACAPwAAAAA=", "attributes": {"color": "red"}}
        for path, body in (
            ("/v1/collections", {"name": "shoes"}),
            ("/v1/collections/shoes/records:insert", {"records": [vector]}),
            ("/v1/training-sets", {"trainingSet": {"name": "set"}}),
            ("/v1/sources", {"name": "feed", "collection": "shoes", "url": "file:none.csv"}),
        ):
            self._post(path, body)

    def send(self, case: Any) -> None:
        """Sends a case, half of the time to what exists, and checks the response."""
        for name in (case.path_parameters or {}).keys() & REAL.keys():
            if self._chosen.random() < 0.5:
                case.path_parameters[name] = REAL[name]
        response = case.call(base_url=f"http://{self._address}", headers=self._headers, timeout=60)
        self._full = self._full and case.method != "DELETE" and not case.path.endswith((":erase", ":exchange"))
        self.statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    def _post(self, path: str, body: Any) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        headers = {**self._headers, "Content-Type": "application/json"}
        connection.request("POST", path, body=json.dumps(body), headers=headers)
        connection.getresponse().read()
        connection.close()


def fuzz(server: Server, key: str, examples: int, modes: tuple[GenerationMode, ...], every: int = 1) -> Counter[int]:
    """Sends so many cases of each kind to each operation, or each third one; returns how often each status came."""
    fuzzed = Fuzzed(server, key)
    chosen = settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    found = list(schemathesis.openapi.from_path(str(DOCUMENT)).get_all_operations())
    assert len(found) == len(PATHS)
    for operation in (cast(Any, result).ok() for result in found[::every]):
        fuzzed.fill_again()
        for mode in modes:
            chosen(given(case=operation.as_strategy(generation_mode=mode))(lambda case: fuzzed.send(case)))()
    return fuzzed.statuses


def test_a_few_requests_of_each_kind_are_answered_as_the_document_says(server: Server, tenant_name: str) -> None:
    statuses = fuzz(server, server.key(tenant_name), 1, (GenerationMode.POSITIVE,), every=3)
    assert {200, 400, 404} <= statuses.keys()


@pytest.mark.long
def test_many_requests_valid_and_not_are_answered_as_the_document_says(server: Server, tenant_name: str) -> None:
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    statuses = fuzz(server, server.key(tenant_name), 20, modes)
    print(dict(statuses))
    assert {200, 400, 404} <= statuses.keys()
    assert not [status for status in statuses if status >= 500]
