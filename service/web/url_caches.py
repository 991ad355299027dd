"""Clears the caches of the URL libraries, which would retain every URL with its token."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from types import ModuleType

from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import _parse, _url

_MODULES: tuple[ModuleType, ...] = (_url, _parse, urllib.parse)
_CACHES: list[Callable[[], None]] = [
    value.cache_clear for module in _MODULES for value in vars(module).values() if hasattr(value, "cache_clear")
]


@web.middleware
async def forget_url(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Clears the caches after each request."""
    try:
        return await handler(request)
    finally:
        forget_urls()


def forget_urls() -> None:
    """Clears all caches."""
    for clear in _CACHES:
        clear()
