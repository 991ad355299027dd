"""What the HTTP port of a server serves: the API, links to pictures, signed pushes, the console, and other doors."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp.web import Request

from service.calls.interceptor import Interceptor
from service.composition.parts import entry_of
from service.composition.surroundings import Surroundings
from service.engine.download_links import DownloadLinks
from service.runtime.certificates import Certificates
from service.settings.model import Settings
from service.web.api.callers import Callers
from service.web.api.door import ApiDoor
from service.web.console.pages import ConsolePages
from service.web.embeddings.calls import call_finder
from service.web.http import Pages
from service.web.metrics_access import MetricsAccess
from service.web.open_pages import Page
from service.web.pictures import LinkLimits, PicturePage
from service.web.push_webhook import PUSH_PATH, PushParts, PushWebhook
from service.web.ximilar.door import XIMILAR_ROOT, XimilarDoor


@dataclass(frozen=True)
class HttpParts:
    """What the pages of the port call."""

    interceptor: Interceptor
    surroundings: Surroundings
    pushes: PushParts
    download_links: DownloadLinks


def pages_of(settings: Settings, parts: HttpParts, certificates: Certificates | None) -> Pages:
    """The pages that the settings turn on. `certificates`: of the server; used if the port speaks TLS."""
    certificates = certificates if settings.http_secure else None
    interceptor, keyless = parts.interceptor, parts.surroundings.keyless
    entry = entry_of(settings, certificates)
    api, callers = ApiDoor(interceptor, keyless, entry, call_finder()), Callers(entry)

    def admits(request: Request) -> bool:
        return keyless.admit(callers.peer(request))

    limits = LinkLimits(parts.surroundings.limiter, keyless, callers.peer)
    reading: dict[str, Page] = {"/pictures/{token}": PicturePage(parts.download_links.open, limits).get}
    doors: dict[str, Page] = {PUSH_PATH: PushWebhook(parts.pushes, limits).handle}
    if settings.ximilar_door:
        doors[XIMILAR_ROOT] = XimilarDoor(interceptor, keyless, entry).handle
    if settings.console_on:
        reading |= ConsolePages(callers, admits, settings.console_picture_origins).pages()
    access = MetricsAccess(settings.metrics_token_file, closed=not settings.http_metrics_open)
    connections = parts.surroundings.connections
    return Pages(reading, doors, api.handle, not settings.metrics, access, admits, connections, certificates)
