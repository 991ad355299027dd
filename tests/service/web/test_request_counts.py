"""Requests are counted by door and status, both from closed sets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from service.metrics import Metrics
from service.web.api.paths import PATHS
from service.web.request_counts import RequestCounts, door_of


def test_every_path_of_the_api_is_of_one_door() -> None:
    assert {door_of(path.template.replace("{", "").replace("}", "")) for path in PATHS} == {"api"}
    assert door_of("/afterimage.v1.SearchService/Search") == "api"


@pytest.mark.parametrize(
    ("path", "door"),
    [("/v1/embeddings", "embeddings"), ("/ximilar/similarity/photos/v2/insert", "ximilar"), ("/metrics", "metrics"),
     ("/readyz", "health"), ("/pictures/secret", "pictures"), ("/", "console"), ("/secret", "other"), ("*", "other"),
     ("/METRICS", "other"), ("//v1/encode", "other"), ("", "other")],
)  # fmt: skip
def test_other_paths_are_of_theirs_or_of_none(path: str, door: str) -> None:
    assert door_of(path) == door


async def test_answers_errors_and_clients_that_leave_are_counted() -> None:
    metrics = Metrics()
    counts: Any = RequestCounts(metrics).middleware

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=201)

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    async def leave(request: web.Request) -> web.StreamResponse:
        raise asyncio.CancelledError

    async def fail(request: web.Request) -> web.StreamResponse:
        raise ValueError

    await counts(make_mocked_request("GET", "/v1/server"), answer)
    for handler, error in ((refuse, web.HTTPNotFound), (leave, asyncio.CancelledError), (fail, ValueError)):
        with pytest.raises(error):
            await counts(make_mocked_request("GET", "/v1/server"), handler)
    found = {line for line in metrics.text().decode().splitlines() if line.startswith("afterimage_http_requests_total")}
    assert found == {
        f'afterimage_http_requests_total{{code="{code}",door="api"}} 1.0' for code in ("201", "404", "gone", "500")
    }
