"""What a query process tells of a call when the writer is lost."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.errors import Reason
from service.rpc.forwarding.writer_channel import meaning


async def failure(place: Path) -> grpc.aio.AioRpcError:
    channel: Any
    async with grpc.aio.insecure_channel(f"unix:{place}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/x.Y/Z")(b"", timeout=30)
        return caught.value


async def test_a_change_that_never_reached_the_writer_was_not_made(tmp_path: Path) -> None:
    assert meaning(await failure(tmp_path / "none"), changes=True).reason is Reason.STORE_UNAVAILABLE


async def test_a_change_during_which_the_writer_was_lost_may_have_been_made(tmp_path: Path) -> None:
    """The writer is played by a listener that answers as HTTP/2 does, and then is gone."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.setblocking(False)

        async def be_lost() -> None:
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(listener)
            with connection:
                await loop.sock_sendall(connection, b"\0\0\0\4\0\0\0\0\0")  # settings
                received = b""
                while b"/x.Y/Z" not in received:
                    received += await loop.sock_recv(connection, 65536)

        lost, _ = await asyncio.gather(failure(tmp_path / "s"), be_lost())
    assert meaning(lost, changes=True).reason is Reason.WRITE_OUTCOME_UNKNOWN
    assert meaning(lost).reason is Reason.STORE_UNAVAILABLE
