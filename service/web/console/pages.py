"""Answers requests for the console: its files, and a policy for browsers that lets only these files run.

The page contains no data and needs no key. The calls that it makes carry the key that its user entered, never a cookie.
Requests with the name of another server in the Host header are refused, as those of the API are, so that a web page
cannot be served as another one (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from service.errors import ServiceError
from service.statuses import http_status
from service.web.api.callers import Callers
from service.web.api.content_coding import accepts_gzip
from service.web.console.files import StaticFile, read_files
from service.web.open_pages import Admits, Page, too_many_requests

_FOR_GOOD = "public, max-age=31536000, immutable"  # the version of the console is part of the URL
_REVALIDATED = "no-cache"
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
}  # fmt: skip


def content_security_policy(picture_hosts: tuple[str, ...]) -> str:
    """Returns the policy of the page. `picture_hosts`: origins that pictures may be shown from."""
    return "; ".join((
        "default-src 'none'", "script-src 'self'", "style-src 'self'",
        " ".join(("img-src 'self' blob:", *picture_hosts)), "connect-src 'self'", "form-action 'none'",
        "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
    ))  # fmt: skip


class ConsolePages:
    """The pages of the console, for one event loop."""

    def __init__(self, callers: Callers, admits: Admits, picture_hosts: tuple[str, ...] = ()) -> None:
        """`admits`: counts a request without a key; returns whether to answer it. `picture_hosts`: origins."""
        self._callers, self._admits = callers, admits
        self._files = read_files(picture_hosts)
        self._headers = {**_HEADERS, "Content-Security-Policy": content_security_policy(picture_hosts)}

    def pages(self) -> dict[str, Page]:
        """Returns the pages by path."""
        own: dict[str, Page] = {"/": self._get_index, "/favicon.ico": self._get_icon}
        own["/console/{version}/{path:.+}"] = self._get_asset
        return {path: self._checked(page) for path, page in own.items()}

    def _checked(self, page: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Page:
        async def get(request: web.Request) -> web.StreamResponse:
            if not self._admits(request):
                return too_many_requests()
            try:
                self._callers.check(request)
            except ServiceError as error:
                text = f"{error.reason.name}: {error.message}\n"
                return web.Response(status=http_status(error.reason), text=text, headers=self._headers)
            return await page(request)

        return get

    async def _get_index(self, request: web.Request) -> web.Response:
        return self._answer(request, self._files.index, _REVALIDATED)

    async def _get_icon(self, request: web.Request) -> web.Response:
        return self._answer(request, self._files.icon, _REVALIDATED)

    async def _get_asset(self, request: web.Request) -> web.Response:
        file = self._files.assets.get(request.match_info["path"])
        if file is None or request.match_info["version"] != self._files.version:
            return web.Response(status=404, text="there is no such file; load the page again\n", headers=self._headers)
        return self._answer(request, file, _FOR_GOOD)

    def _answer(self, request: web.Request, file: StaticFile, caching: str) -> web.Response:
        headers = {**self._headers, "Cache-Control": caching, "ETag": file.etag, "Vary": "Accept-Encoding"}
        if any(tag.strip().removeprefix("W/") in (file.etag, "*") for tag in _known_tags(request)):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = file.media_type
        if not accepts_gzip(request):
            return web.Response(body=file.body, headers=headers)
        return web.Response(body=file.compressed, headers={**headers, "Content-Encoding": "gzip"})


def _known_tags(request: web.Request) -> list[str]:
    return ",".join(request.headers.getall("If-None-Match", [])).split(",")
