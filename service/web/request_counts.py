"""Counts requests of the HTTP ports by door and status."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from service.metrics import Metrics

# Beginnings of paths and their doors: a closed set, since anyone can ask for any path.
_DOORS = (
    ("/v1/embeddings", "embeddings"), ("/v1/models", "embeddings"), ("/v1/webhooks/", "webhooks"),
    ("/v1/", "api"), ("/afterimage.", "api"),
    ("/openapi.json", "api"), ("/ximilar/", "ximilar"), ("/pictures/", "pictures"), ("/console/", "console"),
    ("/metrics", "metrics"), ("/healthz", "health"), ("/readyz", "health"),
)  # fmt: skip
_GONE = "gone"  # the client left before it had a response


def door_of(path: str) -> str:
    """The door that a path belongs to."""
    if path == "/":
        return "console"
    return next((door for beginning, door in _DOORS if path.startswith(beginning)), "other")


class RequestCounts:
    """For one event loop."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.http_requests

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts a request when it is over."""
        door, code = door_of(request.path), "500"
        try:
            response = await handler(request)
            code = str(response.status)
            return response
        except web.HTTPException as answer:
            code = str(answer.status)
            raise
        except asyncio.CancelledError:
            code = _GONE
            raise
        finally:
            self._requests.labels(door, code).inc()
