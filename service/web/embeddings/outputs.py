"""Response and error bodies in OpenAI's shape, as JSON."""

from __future__ import annotations

import binascii
from typing import Any

import numpy as np
import orjson

from afterimage.v1.search_service_pb2 import EncodedPicture, EncodedText, EncodeResponse
from afterimage.v1.server_info_service_pb2 import Encoder, GetServerInfoResponse
from afterimage.v1.types_pb2 import RecordError
from service.errors import Reason, ServiceError
from service.statuses import http_status
from service.web.embeddings.inputs import Wanted

_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    429: "rate_limit_error",
}  # fmt: skip


def write_embeddings(response: EncodeResponse, wanted: Wanted) -> bytes:
    """Returns the vectors in the order of the inputs.

    Raises ServiceError if an input failed and the request is not partial, or if the dimension is not the wanted one.
    """
    if wanted.dimensions not in (None, response.dimension):
        message = f"dimensions: the vectors of {response.encoder_id} have {response.dimension}"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field="dimensions")
    pictures, texts = iter(response.pictures), iter(response.texts)
    count = len(response.pictures) + len(response.texts)
    data = [
        _item(n, next(texts), wanted) if n in wanted.texts else _item(n, next(pictures), wanted) for n in range(count)
    ]
    found = {
        "object": "list", "model": response.encoder_id, "data": data,
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }  # fmt: skip
    return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)


def write_models(response: GetServerInfoResponse) -> bytes:
    """Returns all encoders of the server."""
    return orjson.dumps({"object": "list", "data": [_model(encoder) for encoder in response.encoders]})


def write_model(response: GetServerInfoResponse, encoder_id: str) -> bytes:
    """Returns one encoder of the server. Raises ServiceError (MODEL_NOT_FOUND)."""
    for encoder in response.encoders:
        if encoder.id == encoder_id:
            return orjson.dumps(_model(encoder))
    raise ServiceError(
        Reason.MODEL_NOT_FOUND, "there is no model with this id; GET /v1/models lists all", field="model"
    )


def write_error(error: ServiceError) -> bytes:
    """Returns an error as OpenAI's clients read it. `code` is the reason."""
    status = http_status(error.reason)
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    found = {"message": error.message, "type": kind, "param": error.field or None, "code": error.reason.name}
    return orjson.dumps({"error": found})


def _model(encoder: Encoder) -> dict[str, Any]:
    return {"id": encoder.id, "object": "model", "created": 0, "owned_by": "afterimage"}


def _item(index: int, encoded: EncodedPicture | EncodedText, wanted: Wanted) -> dict[str, Any]:
    item: dict[str, Any] = {"object": "embedding", "index": index, "embedding": None}
    if encoded.HasField("error"):
        error = _as_error(index, encoded.error)
        if not wanted.partial:
            raise error
        item["error"] = {"message": error.message, "code": error.reason.name}
    elif wanted.base64:
        item["embedding"] = binascii.b2a_base64(encoded.vector, newline=False).decode("ascii")
    else:
        item["embedding"] = np.frombuffer(encoded.vector, "<f4")
    return item


def _as_error(index: int, error: RecordError) -> ServiceError:
    place = f"input[{index}]"
    delay_s = error.retry_delay_ms / 1000 if error.retry_delay_ms else None
    return ServiceError(Reason[error.reason], f"{place}: {error.message}", field=place, retry_delay_s=delay_s)
