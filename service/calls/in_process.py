"""Calls methods of the API in this process, without a socket.

Authentication, limits, deadlines, audit and errors are the same as over a network. Messages use protobuf's binary
encoding, so that their sizes count and unknown fields are found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from service.calls.binary import parse_binary
from service.calls.context import Headers, read_headers
from service.calls.interceptor import Interceptor
from service.calls.method import Method
from service.calls.methods import METHODS
from service.errors import ServiceError
from service.runtime.background import end_task
from service.tracing.allowed import Door


@dataclass(frozen=True)
class InProcessCaller:
    """The caller.

    - `headers`: names in lower case, `authorization` among them.
    - `peer`: its apparent address, in gRPC's notation.
    - `certificate_names`: names of its client certificate.
    - `timeout_s`: deadline of each call in seconds; None: the server's default.
    - `transport`, `door`: how the caller itself was reached, for metrics, the log and traces.
    """

    headers: Sequence[tuple[str, str]] = ()
    peer: str = "in_process"
    certificate_names: tuple[str, ...] = ()
    timeout_s: float | None = None
    transport: str = "in_process"
    door: Door = Door.IN_PROCESS


class InProcess:
    """Makes calls. Use it on the event loop of the interceptor."""

    def __init__(self, interceptor: Interceptor) -> None:
        self._interceptor = interceptor

    async def call(self, path: str, request: Message, caller: InProcessCaller) -> Any:
        """Returns the one response to one request. Raises ServiceError."""
        responses = [response async for response in self.stream(path, _one(request), caller)]
        return responses[0]

    async def stream(self, path: str, requests: AsyncIterable[Message], caller: InProcessCaller) -> AsyncIterator[Any]:
        """Yields the responses to a stream of requests, which are read one by one. Raises ServiceError.

        Closing the iterator ends the call.
        """
        method = METHODS[path]
        call = _Call(method, aiter(requests), caller)
        handling = asyncio.create_task(self._interceptor.handle(method, call), name=f"in process {method.name}")
        handling.add_done_callback(lambda _: call.ended())
        try:
            while (raw := await call.responses.get()) is not None:
                call.responses.task_done()
                yield method.response.FromString(raw)
            if call.error is not None:
                raise call.error
            handling.result()  # a call that was dropped, or a fault of what surrounds calls
        finally:
            await end_task(handling)


async def _one(request: Message) -> AsyncIterator[Message]:
    yield request


class _Call:
    """A call as a `CallContext`."""

    sends_later = judged_before = False

    def __init__(self, method: Method, requests: AsyncIterator[Message], caller: InProcessCaller) -> None:
        self._method, self._requests, self._caller = method, requests, caller
        self.headers: Headers = read_headers(caller.headers)
        self.peer, self.transport, self.door = caller.peer, caller.transport, caller.door
        self.responses: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.error: ServiceError | None = None
        self._callbacks: list[Callable[[], object]] = []
        self._ends_at = None if caller.timeout_s is None else asyncio.get_running_loop().time() + caller.timeout_s

    def certificate_names(self) -> tuple[str, ...]:
        """The names of the caller."""
        return self._caller.certificate_names

    def check_certificate(self) -> None:
        """Does nothing: there is no certificate that could expire."""

    def time_remaining(self) -> float | None:
        """Seconds until the timeout of the caller."""
        return None if self._ends_at is None else self._ends_at - asyncio.get_running_loop().time()

    async def read(self) -> bytes | None:
        """Returns the next request, serialized."""
        request = await anext(self._requests, None)
        return None if request is None else request.SerializeToString()

    async def parse(self, raw: bytes) -> Message:
        """Parses a request. Raises ServiceError (ARGUMENT_INVALID)."""
        return parse_binary(self._method, raw)

    async def serialize(self, response: Any) -> bytes:
        """Serializes a response in protobuf's binary encoding."""
        return response.SerializeToString()  # type: ignore[no-any-return]

    async def send(self, raw: bytes) -> None:
        """Returns once the response was taken from the queue."""
        self.responses.put_nowait(raw)
        await self.responses.join()

    def drop(self) -> None:
        """Cancels the interceptor's task at its next wait."""
        task = asyncio.current_task()
        if task is not None:
            task.cancel()

    def on_done(self, callback: Callable[[], object]) -> None:
        """Calls `callback` when the call has ended."""
        self._callbacks.append(callback)

    def fail(self, error: ServiceError) -> None:
        """Raises the error to the caller after the responses before it."""
        self.error = error

    def ended(self) -> None:
        """Marks that the interceptor has finished with the call."""
        for callback in self._callbacks:
            callback()
        self.responses.put_nowait(None)
