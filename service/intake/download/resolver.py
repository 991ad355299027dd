"""Resolves names once, so that connections go to the addresses that were checked."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from service.intake.download.addresses import Address

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
_pinned: contextvars.ContextVar[tuple[Address, ...]] = contextvars.ContextVar("pinned")


def pin(addresses: tuple[Address, ...]) -> None:
    """Makes requests that start in this context connect to these addresses, even if their host resolves differently
    by then."""
    _pinned.set(addresses)


class PinnedResolver(AbstractResolver):
    """Returns the pinned addresses of the context in which the request runs."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=str(a), port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET if a.version == 4 else socket.AF_INET6,
            )
            for a in _pinned.get()
        ]  # fmt: skip

    async def close(self) -> None:
        return None


async def system_resolve(host: str, port: int) -> list[str]:
    """The addresses of a host from the system's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]
