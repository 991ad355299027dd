"""What is answered to requests that are not HTTP.

aiohttp would quote what was sent, and name its version and Python's.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus

from aiohttp import web

from service.errors import Reason, ServiceError
from service.web.api.errors import error_answer


class RequestHandler(web.RequestHandler):
    """aiohttp's handler of one connection, with errors in the form of the API."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Returns the response to a request that could not be read, or whose handler failed, and closes the connection.

        aiohttp's entry point.
        """
        super().handle_error(request, status, exc, message)  # logs it, and refuses to answer a second time
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            error = ServiceError(Reason.ARGUMENT_INVALID, "the request is not valid HTTP")
        else:
            error = ServiceError(Reason.INTERNAL, "internal error")
        answer = error_answer(error, secrets.token_hex(8), connect=False)
        response = web.Response(
            status=answer.status, headers={**answer.headers, "Server": "afterimage"}, body=answer.body
        )
        response.force_close()
        return response


def request_handler(server: web.Server) -> RequestHandler:
    """Returns the handler of a new connection, as calling the server would."""
    return RequestHandler(server, loop=server._loop, **server._kwargs)
