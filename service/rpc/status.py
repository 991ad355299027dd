"""Converts a ServiceError to the status of a gRPC call."""

from __future__ import annotations

from typing import Any

import grpc

from service.calls.context import REQUEST_ID_KEY
from service.calls.error_details import to_status
from service.errors import ServiceError
from service.statuses import grpc_status

DETAILS_KEY = "grpc-status-details-bin"
_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


def set_status(context: grpc.aio.ServicerContext[Any, Any], error: ServiceError, request_id: str) -> None:
    """Sets the status that ends the call once its handler returns.

    `context.abort` is not used. Its exception forms a cycle with the frames of the call, which keeps the request, and a
    picture in it, in memory until the next garbage collection.
    """
    trailing = (
        (DETAILS_KEY, to_status(error, request_id).SerializeToString()),
        (REQUEST_ID_KEY, request_id),
    )
    context.set_trailing_metadata(trailing)
    context.set_code(_GRPC_CODES[grpc_status(error.reason)])
    context.set_details(error.message)
