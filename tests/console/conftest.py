"""One browser and one server for all tests of the console in a process. Each test has a page and a tenant of its own.

What must hold for every page is checked at the end of each test: nothing on the browser's console (so the policy was
never violated either), no exception, and no request to another origin.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from afterimage.client import AlreadyExists, Client, NewRecord
from tests.support.data.pictures import png
from tests.support.needs import missing
from tests.support.servers.server import Server
from tests.support.tools import npm_install

CHROMIUM_REMEDY = "apt-get install chromium"
NPM = Path(__file__).with_name("npm")
PATIENCE_MS = 30_000  # the machine may be busy; a test that waits this long fails
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
_FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
_PREVIEW = ("blob:", "data:")  # what a page made itself


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's chromium; the tests skip where it is missing, and fail in CI.

    Not for the whole session: while it runs, playwright's event loop is that of the thread, and no other can run.
    """
    program = shutil.which("chromium")
    if program is None:
        missing("chromium", CHROMIUM_REMEDY)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="package")
def contexts(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Contexts by what they were made with, so that pages share what their browser has cached."""
    made: dict[str, BrowserContext] = {}

    def context(**options: Any) -> BrowserContext:
        name = repr(sorted(options.items()))
        if name not in made:
            made[name] = browser.new_context(**{"viewport": DESKTOP, **options})
            made[name].set_default_timeout(PATIENCE_MS)
        return made[name]

    expect.set_options(timeout=PATIENCE_MS)
    yield context
    for one in made.values():
        one.close()


@dataclass
class Console:
    """Opens pages of the console, and notes what must not happen on any of them."""

    server: Server
    contexts: Callable[..., BrowserContext]
    key: str
    foreign: tuple[str, ...] = ()  # origins that a test allows
    troubles: list[str] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://{self.server.http}"

    def blank(self, **options: Any) -> Page:
        """A page that shows nothing yet. `options`: of its context."""
        page = self.contexts(**options).new_page()
        page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.troubles.append(f"exception: {error}"))
        page.on("request", self._requested)
        self.pages.append(page)
        return page

    def open(self, place: str = "#/collections", **options: Any) -> Page:
        """A page that is signed in, at a place."""
        page = self.blank(**options)
        page.goto(f"{self.origin}/#key={self.key}")
        expect(page.get_by_role("navigation", name="Main")).to_be_visible()
        if place != "#/collections":
            page.evaluate("place => { location.hash = place }", place)
        return page

    def check(self) -> None:
        """Closes all pages. Fails if something happened that must not."""
        for page in self.pages:
            page.close()
        assert not self.troubles

    def _requested(self, request: Any) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.origin + "/", *_PREVIEW, *self.foreign)):
            self.troubles.append(f"a request to {request.url[:200]}")
        if "cookie" in request.headers:
            self.troubles.append("a cookie was sent")


@pytest.fixture
def console(server: Server, contexts: Callable[..., BrowserContext], tenant_name: str) -> Iterator[Console]:
    """With a key of all scopes, of a tenant of this test alone, which `client` shares."""
    made = Console(server, contexts, server.key(tenant_name))
    yield made
    made.check()


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages that the tests need from npm: types, type checker, checker of accessibility."""
    folder = tmp_path_factory.mktemp("console") / "npm"
    shutil.copytree(NPM, folder)
    npm_install(folder)
    return folder


@pytest.fixture
def accessible(npm: Path) -> Callable[[Page], None]:
    """Fails if axe-core finds something serious on a page. The page must bypass the policy: axe adds styles."""
    axe = (npm / "node_modules/axe-core/axe.min.js").read_text()

    def check(page: Page) -> None:
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [f"{v['id']}: {v['nodes'][0]['html'][:200]} ({v['nodes'][0]['failureSummary']})"
                   for v in found["violations"] if v["impact"] in ("serious", "critical")]  # fmt: skip
        assert not serious, serious

    return check


@dataclass(frozen=True)
class Shelf:
    """A tenant with a collection of twelve records, for tests that change nothing. `key`: of all scopes."""

    key: str
    client: Client
    collection: str = "shelf"
    other: str = "other"
    records: int = 12


@pytest.fixture(scope="package")
def shelf(server: Server) -> Iterator[Shelf]:
    """Records r0 to r11: two of each product, with a text, a number, a truth and a list. `other` has three of them."""
    key = server.key("shelf")
    with server.client(key) as client:
        made = Shelf(key, client)
        for collection, number in ((made.collection, made.records), (made.other, 3)):
            with contextlib.suppress(AlreadyExists):  # made before, if tests of other folders ran between
                client.create_collection(collection)
            client.insert(collection, [shelf_record(place) for place in range(number)])
        yield made


def shelf_record(place: int) -> NewRecord:
    """Record r<place>."""
    colour = ("red", "blue", "teal")[place % 3]
    attributes: dict[str, Any] = {"colour": colour, "price": 10.0 * place, "in_stock": place % 2 == 0}
    attributes["tags"] = ["new", f"t{place % 2}"]
    return NewRecord(f"r{place}", image=png(place), product_id=f"p{place // 2}", attributes=attributes)
