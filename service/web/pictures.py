"""`/pictures/<token>`: the decrypted target of a link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from service.errors import Code, ServiceError
from service.intake.formats import media_type

# No intermediary may cache it, and no browser may interpret it as anything but a picture.
_HEADERS = {
    "Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "inline",
}  # fmt: skip
_STATUS = {Code.NOT_FOUND: 404, Code.PERMISSION_DENIED: 410, Code.FAILED_PRECONDITION: 409, Code.UNAVAILABLE: 503}


def picture_page(open_link: Callable[[str], Awaitable[bytes]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The request handler. `open_link` returns the picture of a token, or raises ServiceError."""

    async def get(request: web.Request) -> web.Response:
        try:
            picture = await open_link(request.match_info["token"])
        except ServiceError as error:
            status = _STATUS.get(error.reason.code, 500)
            return web.Response(status=status, text=f"{error.reason.name}: {error.message}\n", headers=_HEADERS)
        return web.Response(body=picture, content_type=media_type(picture), headers=_HEADERS)

    return get
