"""The calls in OpenAI's shape. They are Encode and GetServerInfo with other request and response bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from service.errors import Reason, ServiceError
from service.tracing.allowed import Door
from service.web.api.call import HttpCall, error_response
from service.web.api.callers import split_target
from service.web.api.paths import Path, served
from service.web.api.routes import Route
from service.web.embeddings.inputs import Wanted, read_request
from service.web.embeddings.outputs import write_embeddings, write_error, write_model, write_models
from service.web.proto_json.codec import LARGE_BYTES


class _OpenAiCall(HttpCall):
    door = Door.EMBEDDINGS
    _compresses = False  # vectors stay at three quarters of their size

    def refusal(self, error: ServiceError) -> web.Response:
        """Returns the response for an error, in OpenAI's shape."""
        response = error_response(error, self.headers.request_id, connect=False)
        response.body = write_error(error)
        return response


class EmbeddingsCall(_OpenAiCall):
    """`POST /v1/embeddings`."""

    _wanted = Wanted()

    def refusal(self, error: ServiceError) -> web.Response:
        """Returns the response for an error. An encoder is called a model here."""
        if error.reason is Reason.ENCODER_UNKNOWN:
            error = ServiceError(Reason.MODEL_NOT_FOUND, error.message, field="model")
        return super().refusal(error)

    async def parse(self, raw: bytes) -> Any:
        """Returns the EncodeRequest. Raises ServiceError (ARGUMENT_INVALID, FIELD_UNKNOWN)."""
        if len(raw) > LARGE_BYTES:
            request, self._wanted = await asyncio.to_thread(read_request, raw)
        else:
            request, self._wanted = read_request(raw)
        return request

    async def serialize(self, response: Any) -> bytes:
        """Returns the vectors as JSON. Raises ServiceError if a picture failed and the request is not partial."""
        if response.ByteSize() > LARGE_BYTES:
            return await asyncio.to_thread(write_embeddings, response, self._wanted)
        return write_embeddings(response, self._wanted)


class ModelsCall(_OpenAiCall):
    """`GET /v1/models`."""

    async def serialize(self, response: Any) -> bytes:
        """Returns the encoders of the server as JSON."""
        return write_models(response)


class ModelCall(_OpenAiCall):
    """`GET /v1/models/{id}`. The id may contain slashes, which not all clients encode."""

    async def serialize(self, response: Any) -> bytes:
        """Returns one encoder. Raises ServiceError (MODEL_NOT_FOUND)."""
        path, _, _ = split_target(self._request.raw_path)[1].partition("?")
        return write_model(response, unquote(path.removeprefix(_MODEL_PREFIX)))


_MODEL_PREFIX = "/v1/models/"
_CALLS = (
    (Path("SearchService/Encode", "POST", "/v1/embeddings"), EmbeddingsCall),
    (Path("ServerInfoService/GetServerInfo", "GET", "/v1/models"), ModelsCall),
    (Path("ServerInfoService/GetServerInfo", "GET", _MODEL_PREFIX), ModelCall),
)


PATHS = tuple(path for path, _ in _CALLS)


def call_finder() -> Callable[[str], tuple[Route, type[HttpCall]] | None]:
    """Returns a function from the path of a request to the call, or to None if the path is not served here."""
    methods = served()
    found = {path.template: (Route(methods[path.rpc], path), call) for path, call in _CALLS}

    def find(path: str) -> tuple[Route, type[HttpCall]] | None:
        if path.startswith(_MODEL_PREFIX):
            return found[_MODEL_PREFIX] if path != _MODEL_PREFIX else None
        return found.get(path)

    return find
