"""Where the writer hears of the calls that query processes forward: a Unix socket in the data directory.

Only this user can open the socket. What comes through it says who made the call, and is judged as if it came directly.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from service.calls.interceptor import Interceptor
from service.calls.method import Method
from service.rpc.calls import Call, Context, Methods, UnaryCall
from service.rpc.forwarding.sender import sender_of
from service.runtime.certificates import Certificates
from service.runtime.ports import free_name, make_folder

NOTES_PATH = "/afterimage.internal.Processes/Note"
STANDING_PATH = "/afterimage.internal.Processes/Standing"
InternalMethods = Mapping[str, Callable[[bytes], Awaitable[bytes]]]  # by path
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", -1),  # the port of the query process has limited them
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 * 1024),
]


class InternalServer:
    """A grpc.aio server for the query processes of this server."""

    def __init__(self, socket: Path, interceptor: Interceptor, methods: InternalMethods) -> None:
        """`methods`: those that are not of the API."""
        self._socket = socket
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((_Internal(interceptor, methods),))

    async def start(self) -> None:
        """Listens. Raises SettingError where something else is at the place of the socket or of its folder."""
        make_folder(self._socket.parent)
        free_name(self._socket)
        before = os.umask(0o177)
        try:
            self._server.add_insecure_port(f"unix:{self._socket}")
        finally:
            os.umask(before)
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls. Running ones have `grace_s` seconds to finish."""
        await self._server.stop(grace_s)
        self._socket.unlink(missing_ok=True)


class _Internal(Methods):
    def __init__(self, interceptor: Interceptor, methods: InternalMethods) -> None:
        super().__init__(interceptor, None)
        self._internal = {path: _internal_handler(answer) for path, answer in methods.items()}

    def call_types(self) -> tuple[type[UnaryCall], type[Call]]:
        """Those that believe what the socket says of the sender."""
        return _ForwardedUnaryCall, _ForwardedCall

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Returns the handler of a call. gRPC's entry point."""
        return self._internal.get(handler_call_details.method) or super().service(handler_call_details)


def _internal_handler(answer: Callable[[bytes], Awaitable[bytes]]) -> Any:
    async def answered(raw: bytes, _: Context) -> bytes:
        return await answer(raw)

    return grpc.unary_unary_rpc_method_handler(answered, None, None)


class _ForwardedCall(Call):
    def __init__(
        self, interceptor: Interceptor, method: Method, context: Context, certificates: Certificates | None
    ) -> None:
        super().__init__(interceptor, method, context, certificates)
        self._sender = sender_of(self.metadata)
        self.peer, self.judged_before = self._sender.peer, self._sender.judged

    def certificate_names(self) -> tuple[str, ...]:
        """The names of the client's certificate, which the query process has verified."""
        return self._sender.certificate_names


class _ForwardedUnaryCall(_ForwardedCall, UnaryCall):
    """A call of one response."""
