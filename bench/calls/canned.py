"""A servicer of grpc.aio that answers each method with bytes that are given to it.

    python -m bench.calls.canned ANSWERS.json

ANSWERS.json: an object of base64 by path of a method. The process prints its port, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import grpc


class Canned(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """The methods, without parsing of requests."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self._handlers = {path: _handler(answer) for path, answer in answers.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a method; None for any other. gRPC's entry point."""
        return self._handlers.get(handler_call_details.method)


def _handler(answer: bytes) -> Any:
    async def answered(request: bytes, context: object) -> bytes:
        return answer

    return grpc.unary_unary_rpc_method_handler(answered, None, None)


async def serve(answers: dict[str, bytes]) -> None:
    """Serves on a free port of loopback, and prints it."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Canned(answers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    asyncio.run(serve({path: base64.b64decode(text) for path, text in given.items()}))
