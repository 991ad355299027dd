"""`/pictures/<token>`: the decrypted target of a link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from service.errors import ServiceError
from service.intake.formats import media_type
from service.statuses import http_status

# No intermediary may cache it, and no browser may interpret it as anything but a picture.
_HEADERS = {
    "Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "inline",
}  # fmt: skip


def picture_page(open_link: Callable[[str], Awaitable[bytes]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The request handler. `open_link` returns the picture of a token, or raises ServiceError."""

    async def get(request: web.Request) -> web.Response:
        try:
            picture = await open_link(request.match_info["token"])
        except ServiceError as error:
            text = f"{error.reason.name}: {error.message}\n"
            return web.Response(status=http_status(error.reason), text=text, headers=_HEADERS)
        return web.Response(body=picture, content_type=media_type(picture), headers=_HEADERS)

    return get
