"""Receives requests of the API over HTTP and hands them to what surrounds every call."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

import structlog
from aiohttp import web

from service.calls.context import read_headers
from service.calls.interceptor import Interceptor
from service.calls.limits.keyless import KeylessCalls
from service.errors import Reason, ServiceError, release_frames
from service.web.api.call import HttpCall, Incoming, error_response
from service.web.api.callers import Callers, Entry, split_target
from service.web.api.errors import HEADERS, JSON_TYPE
from service.web.api.parameters import read_query
from service.web.api.routes import Allowed, Route, Routes
from service.web.proto_json.codec import Codec

OPENAPI_PATH = "/openapi.json"
_OPENAPI_FILE = Path(__file__).with_name("openapi.json")
_LOG = structlog.get_logger(__name__)


class ApiDoor:
    """For the event loop of the interceptor."""

    def __init__(
        self, interceptor: Interceptor, keyless: KeylessCalls, entry: Entry,
        special: Callable[[str], tuple[Route, type[HttpCall]] | None] = lambda path: None,
    ) -> None:  # fmt: skip
        """`keyless`: counts requests that are refused before their key is checked. `special`: finds the call of a path
        whose bodies differ from those of the API."""
        self._special = special
        self._interceptor, self._keyless, self._callers = interceptor, keyless, Callers(entry)
        self._openapi = _OPENAPI_FILE.read_bytes()
        self._routes, self._canonical, self._plain = Routes(), Codec(plain=False), Codec(plain=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Returns the response to a request of any path."""
        headers = read_headers((name.lower(), value) for name, value in request.headers.items())
        path, _, query = split_target(request.raw_path)[1].partition("?")
        peer, connect = self._callers.peer(request), path.startswith("/afterimage.")
        try:
            self._callers.check(request)
            if path == OPENAPI_PATH:
                return self._described(request.method, peer)
            route, kind = self._route(request.method, path)
            parameters, certificate = tuple(read_query(query)), self._callers.certificate(request)
            incoming = Incoming(request, route, headers, peer, parameters, certificate)
        except ServiceError as error:
            return self._refused(error, peer, headers.request_id, connect=connect)
        codec = self._plain if route.plain else self._canonical
        return await self._handled(kind(incoming, codec, self._interceptor.limiter.limits.message_bytes), route)

    async def _handled(self, call: HttpCall, route: Route) -> web.StreamResponse:
        try:
            await self._interceptor.handle(route.method, call)
            return await call.end()
        except asyncio.CancelledError:
            if not call.gone:
                raise
            return web.Response()  # nobody reads it
        except Exception as failure:  # a bug in this room: the interceptor reports those of calls
            request_id = call.headers.request_id
            _LOG.error("a request over HTTP failed", request_id=request_id, exc_info=failure)
            release_frames(failure)
            error = ServiceError(Reason.INTERNAL, f"internal error; search the server's log for {request_id}")
            return call.refusal(error)
        finally:
            call.done()

    def _described(self, verb: str, peer: str) -> web.Response:
        """Returns the OpenAPI document. It needs no key, so requests for it are counted by address."""
        if verb != "GET":
            raise _NotAllowed(Allowed(("GET",)))
        if not self._keyless.admit(peer):
            raise _too_many()
        return web.Response(body=self._openapi, headers={**HEADERS, "Content-Type": JSON_TYPE})

    def _route(self, verb: str, path: str) -> tuple[Route, type[HttpCall]]:
        if special := self._special(path):
            wanted = special[0].path
            if wanted is not None and wanted.verb != verb:
                raise _NotAllowed(Allowed((wanted.verb,)))
            return special
        found = self._routes.find(verb, path)
        if found is None:
            raise ServiceError(Reason.PATH_NOT_FOUND, "there is no such path; /openapi.json lists all")
        if isinstance(found, Allowed):
            raise _NotAllowed(found)
        return found, HttpCall

    def _refused(self, error: ServiceError, peer: str, request_id: str, *, connect: bool) -> web.Response:
        if not self._keyless.admit(peer):
            error = _too_many()
        response = error_response(error, request_id or secrets.token_hex(8), connect=connect)
        if isinstance(error, _NotAllowed):
            response.headers["Allow"] = ", ".join(error.allowed.verbs)
        return response


class _NotAllowed(ServiceError):
    def __init__(self, allowed: Allowed) -> None:
        super().__init__(Reason.METHOD_NOT_ALLOWED, f"this path takes {', '.join(allowed.verbs)}")
        self.allowed = allowed


def _too_many() -> ServiceError:
    return ServiceError(Reason.OVERLOADED, "too many calls without a key from this address", retry_delay_s=1.0)
