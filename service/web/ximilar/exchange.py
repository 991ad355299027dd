"""One request: its key, its body, and the calls that it makes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from aiohttp import web

from service.calls.binary import message_of
from service.calls.context import REQUEST_ID_KEY, read_headers
from service.calls.in_process import InProcess, InProcessCaller
from service.calls.limits.call_limiter import CallLimits, Lease, current_lease
from service.errors import Reason, ServiceError
from service.tenancy.apikeys import key_id_of
from service.tracing.allowed import Door
from service.web.api.bodies import Body
from service.web.proto_json.codec import LARGE_BYTES
from service.web.tls import ClientCertificate
from service.web.ximilar.bodies import read_object

_SCHEMES = ("token", "jwt", "bearer")
_TIMEOUT_S = 85.0  # the client waits for 90
_COLLECTION = "collection-id"
Made = TypeVar("Made")


class Job(Protocol):
    """What was read from a body. message: the request of the call that it is read for."""

    message: Any


JobT = TypeVar("JobT", bound=Job)


@dataclass(frozen=True)
class Target:
    """What the path and the query string say. prefix: of a client's endpoint, such as `similarity/photos/v2`. name: the
    part of the path that names something; empty: none."""

    prefix: str
    name: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class Client:
    """Who sent a request. peer: its address in gRPC's notation. certificate: that it presented."""

    peer: str
    certificate: ClientCertificate


class Exchange:
    """Made within the task that handles the request. `close` it."""

    def __init__(
        self, request: web.Request, target: Target, client: Client, calls: InProcess, limits: CallLimits
    ) -> None:
        given = [(name.lower(), value) for name, value in request.headers.items()]
        headers = read_headers(given)
        keys = [_as_bearer(value) for name, value in given if name == "authorization"]
        self.target, self.request_id = target, headers.request_id
        self.key_id = key_id_of(keys[0].removeprefix("Bearer ")) if keys else ""
        sent = (*(("authorization", key) for key in keys), (REQUEST_ID_KEY, headers.request_id))
        names = () if keys else client.certificate.names()
        self._caller = InProcessCaller(sent, client.peer, names, _TIMEOUT_S, "http", Door.XIMILAR)
        self.caller_hash = hash((*keys, *names))  # tells callers apart without keeping a key
        self._request, self._calls = request, calls
        self._most_bytes = body_bytes(limits)
        self._lease: Lease | None = None
        self._held: list[Callable[[], None]] = []

    @property
    def collection(self) -> str:
        """The collection in the header. Raises ServiceError (ARGUMENT_INVALID)."""
        if found := self.header_collection:
            return found
        raise ServiceError(Reason.ARGUMENT_INVALID, f"the header {_COLLECTION} is missing", field=_COLLECTION)

    @property
    def header_collection(self) -> str:
        """The collection in the header; empty if there is none."""
        return self._request.headers.get(_COLLECTION, "").strip()

    def parameter(self, name: str) -> str:
        """A parameter of the query string; empty if it is not there."""
        return self.target.query.get(name, "")

    async def call(self, rpc: str, message: Any) -> Any:
        """The response of a call, such as `SearchService/Search`. Raises ServiceError."""

        async def given() -> Any:
            return message

        return await self._made(rpc, given)

    async def first(self, rpc: str, read: Callable[[dict[str, Any]], JobT]) -> tuple[JobT, Any]:
        """The first call that needs the body, and what was read from it. The key is judged before the body is read.

        `read` runs in a thread if the body is large. Raises ServiceError.
        """
        jobs: list[JobT] = []

        async def given() -> Any:
            jobs.append(await self._read(read))
            return jobs[0].message

        response = await self._made(rpc, given)
        return jobs[0], response

    def hold(self, amount: int) -> None:
        """Counts bytes among those in flight until the exchange is closed. Raises ServiceError (OVERLOADED)."""
        if self._lease is not None:
            self._held.append(self._lease.take_beyond(amount))

    def close(self) -> None:
        """Lets go of what the exchange held."""
        for release in self._held:
            release()
        self._held.clear()

    async def _read(self, read: Callable[[dict[str, Any]], Made]) -> Made:
        body = Body(self._request, self._most_bytes)
        body.check_coding()
        raw = await body.whole()
        self.hold(len(raw))
        if len(raw) > LARGE_BYTES:
            return await asyncio.to_thread(lambda: read(read_object(raw)))
        return read(read_object(raw))

    async def _made(self, rpc: str, make: Callable[[], Awaitable[Any]]) -> Any:
        async def requests() -> AsyncIterator[Any]:
            self._lease = current_lease()
            yield await make()

        path = f"/afterimage.v1.{rpc}"
        found = [response async for response in self._calls.stream(path, requests(), self._caller)]
        return message_of(found[0])


def body_bytes(limits: CallLimits) -> int:
    """The largest body: a largest message in base64, and room for what is around it."""
    return limits.message_bytes // 3 * 4 + (1 << 16)


def _as_bearer(header: str) -> str:
    scheme, _, key = header.strip().partition(" ")
    return f"Bearer {key.strip()}" if scheme.lower() in _SCHEMES else header
