"""Calls in OpenAI's shape: Encode and GetServerInfo, with other bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from service.errors import ServiceError
from service.web.api.call import HttpCall, error_response
from service.web.api.paths import Path, served
from service.web.api.routes import Route
from service.web.embeddings.inputs import Wanted, read_request
from service.web.embeddings.outputs import write_embeddings, write_error, write_models
from service.web.proto_json.codec import LARGE_BYTES


class _OpenAiCall(HttpCall):
    def refusal(self, error: ServiceError) -> web.Response:
        """An error as a response."""
        response = error_response(error, self.headers.request_id, connect=False)
        response.body = write_error(error)
        return response


class EmbeddingsCall(_OpenAiCall):
    """`POST /v1/embeddings`."""

    _wanted = Wanted()

    async def parse(self, raw: bytes) -> Any:
        """Raises ServiceError (ARGUMENT_INVALID, FIELD_UNKNOWN)."""
        if len(raw) > LARGE_BYTES:
            request, self._wanted = await asyncio.to_thread(read_request, raw)
        else:
            request, self._wanted = read_request(raw)
        return request

    async def serialize(self, response: Any) -> bytes:
        """Raises ServiceError where a picture failed."""
        if response.ByteSize() > LARGE_BYTES:
            return await asyncio.to_thread(write_embeddings, response, self._wanted)
        return write_embeddings(response, self._wanted)


class ModelsCall(_OpenAiCall):
    """`GET /v1/models`."""

    async def serialize(self, response: Any) -> bytes:
        """The encoders."""
        return write_models(response)


_PATHS = (
    (Path("SearchService/Encode", "POST", "/v1/embeddings"), EmbeddingsCall),
    (Path("ServerInfoService/GetServerInfo", "GET", "/v1/models"), ModelsCall),
)


def calls_by_path() -> Mapping[str, tuple[Route, type[HttpCall]]]:
    """What each path calls, and in which shape."""
    methods = served()
    return {path.template: (Route(methods[path.rpc], path), call) for path, call in _PATHS}
