"""Every screen with content: axe-core finds nothing serious, by day and night, on desktop and phone; keys suffice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from afterimage.client import NewRecord, NewSource, Term
from service.tenancy.access import WantedAccess
from service.tenancy.apikeys import Scope
from tests.console.conftest import DESKTOP, PHONE, Console, Shelf, shelf_record
from tests.console.test_hostile_texts import widest
from tests.console.test_search import file
from tests.support.data.feeds import table
from tests.support.data.pictures import png
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shop import FETCHING, Shop

pytestmark = pytest.mark.browser
ROUTES = Path(__file__).parents[2] / "service/web/console/page/routes.js"
LONG = "x" * 256  # an id, a product and a value that nothing can break
Looks = list[tuple[Literal["light", "dark"], ViewportSize]]
TWO: Looks = [("light", DESKTOP), ("dark", PHONE)]
ALL: Looks = [*TWO, ("light", PHONE), ("dark", DESKTOP)]


@dataclass(frozen=True)
class Full:
    """A tenant with something on every screen. `key`: of all scopes; `feed`: its address; `run`: waits for approval."""

    server: Server
    key: str
    feed: str
    run: str


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    running = share(start_server(tmp_path_factory.mktemp("full"), environment=FETCHING))
    shop, key = Shop(), running.key("full")
    with shop.running(), running.client(key) as client:
        client.create_collection("shelf", description="Everything on the shelf")
        client.insert("shelf", [
            *(shelf_record(place) for place in range(8)), NewRecord("twin", image=png(1)),
            NewRecord(LONG, image=png(9), product_id=LONG, attributes={"colour": LONG, "price": 7.0}),
        ])  # fmt: skip
        client.create_collection("copies", picture_policy="ENCRYPTED_COPY")
        client.insert("copies", [shelf_record(place) for place in range(3)])
        for seed in (1, 2, 20, 30):
            client.search("shelf", Term(image=png(seed)), min_score=0.4)
        client.erase_records("copies", record_ids=["r2"])
        client.create_source(NewSource("feed", "copies", _publish(shop, 6), cron="15 4 * * *"))
        *_, first = client.watch_run(client.start_run("feed").run_id)
        assert first.failed_count == 1
        _publish(shop, 2)
        *_, waiting = client.watch_run(client.start_run("feed").run_id)
        assert waiting.state == "awaiting_approval"
        with running.registry() as registry:
            wanted = WantedAccess("ticket 7", frozenset({Scope.SEARCH}), 30)
            registry.access.ask(registry.tenant("full").uid, wanted)
        yield Full(running, key, f"{shop.address}/feed", waiting.run_id)
    assert running.stop() == 0


def _publish(shop: Shop, count: int) -> str:
    shop.pictures |= {f"/{n}.png": png(n) for n in range(1, count)}  # that of the first item is missing
    rows = [{"id": str(n), "title": f"shoe {n}", "image_link": f"{shop.address}/{n}.png"} for n in range(count)]
    shop.pictures["/feed"] = table(rows)
    return f"{shop.address}/feed"


def _with_picture(page: Page) -> None:
    page.get_by_label("Choose a picture").set_input_files(files=[file(png(1))])
    page.get_by_text("Region in numbers").click()
    page.get_by_label("right %").fill("50")
    page.get_by_label("right %").press("Enter")
    expect(page.get_by_text("Searched with the region")).to_be_visible()


def _removal(page: Page) -> None:
    page.get_by_text("Delete or erase").click()
    page.get_by_role("button", name="Erase with receipt …").click()


def _duplicates(page: Page) -> None:
    page.get_by_role("button", name="Find").click()
    page.get_by_label("Delete twin").check()
    page.get_by_role("button", name="Delete 1 selected record").click()
    expect(page.get_by_role("group", name="Deletion")).to_contain_text("for good: twin")


def _new_source(page: Page, feed: str) -> None:
    page.get_by_text("New source").click()
    page.get_by_label("Address of the feed").fill(feed)
    page.get_by_role("button", name="Preview").click()
    page.get_by_label("Name of the source").wait_for()


def _trust(page: Page) -> None:
    page.wait_for_load_state("networkidle")  # what comes late moves the button away from a click
    page.get_by_role("button", name="Verify in this browser").click()
    expect(page.get_by_text("follow from one another")).to_be_visible()
    page.get_by_role("button", name="Approve …").click()


def _camera(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_role("button", name="Take a picture")).to_be_enabled()


def _deletion(page: Page) -> None:
    page.get_by_role("button", name="Delete …").click()
    expect(page.get_by_text("would be deleted")).to_be_visible()


NEAREST = "role=region[name='Nearest records'] >> li >> nth=5"
State = tuple[str, str, Callable[[Page], None] | None]


def states(full: Full) -> dict[str, list[State]]:
    """By route: addresses, what is visible once the screen is complete, and what is done there."""
    shelf = "#/collections/shelf"
    return {
        "collections": [("#/collections", "article >> nth=1", None)],
        "syncs": [("#/syncs", "tbody tr", lambda page: _new_source(page, full.feed))],
        "syncs/:source": [(f"#/syncs/feed?run={full.run}", "text=Approve this plan", None)],
        "trust": [("#/trust", ".log tbody tr >> nth=5", _trust)],
        "collections/:name/search": [
            (f"{shelf}/search?terms=1+r0&compare=copies&k=12", ".hit >> nth=8", None),
            (f"{shelf}/search?k=12", "text=Choose a picture", _with_picture),
            (f"{shelf}/search?terms=1+r0&filter=price+%3C", "role=alert", None),
            (f"{shelf}/search", "text=Give a picture", _camera),
        ],
        "collections/:name/records": [(f"{shelf}/records", "tbody tr >> nth=9", None)],
        "collections/:name/records/:record": [
            (f"{shelf}/records/r1", ".hit >> nth=8", _removal), (f"{shelf}/records/{LONG}", ".hit >> nth=8", None)
        ],
        "collections/:name/duplicates": [(f"{shelf}/duplicates", "role=button[name='Find']", _duplicates)],
        "collections/:name/map": [(f"{shelf}/map?attribute=colour&record=r1", NEAREST, None)],
        "collections/:name/weak": [(f"{shelf}/weak", "td", None)],
        "collections/:name/settings": [(f"{shelf}/settings", "role=button[name='Delete …']", _deletion)],
        "no route": [("#/nowhere", "text=There is no such page", None)],
    }  # fmt: skip


@pytest.mark.parametrize("looks", [TWO, pytest.param(ALL, marks=pytest.mark.long)], ids=["two looks", "all looks"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_window(
    console: Console, full: Full, accessible: Callable[[Page], None], looks: Looks
) -> None:
    """Also of fields and words that are folded away until somebody opens them."""
    console.server, console.key = full.server, full.key
    places = states(full)
    assert places.keys() - {"no route"} == set(re.findall(r'path: "([^"]+)"', ROUTES.read_text()))
    page = console.blank(bypass_csp=True)
    page.goto(console.origin)
    accessible(page)
    page.goto(f"{console.origin}/#key={full.key}")
    page.get_by_role("navigation", name="Main").wait_for()
    for place, complete, act in (state for found in places.values() for state in found):
        page.goto("about:blank")  # so that each state begins anew, with the key that the tab keeps
        page.goto(f"{console.origin}/{place}")
        page.locator(complete).first.wait_for()
        if act is not None:
            act(page)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        for scheme, size in looks:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            accessible(page)
            width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert width[0] <= width[1], (place, widest(page))
    console.troubles = [t for t in console.troubles if "400" not in t]  # the filter that is refused


def test_the_keyboard_alone_leads_from_signing_in_to_a_hit(console: Console, shelf: Shelf) -> None:
    page = console.blank()
    page.goto(console.origin)
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(shelf.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="shelf")).to_be_visible()
    tab_to(page, "shelf")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="shelf")).to_be_focused()
    tab_to(page, "", "record id")
    page.keyboard.type("r3")
    page.keyboard.press("Enter")
    expect(page.locator(".hit")).to_have_count(11)
    tab_to(page, "More like")
    page.keyboard.press("Enter")
    expect(page.locator(".hit")).to_have_count(10)


def tab_to(page: Page, text: str, placeholder: str = "") -> None:
    """Presses the tab key until what is focused has this text, or placeholder."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate("[document.activeElement.innerText ?? '', document.activeElement.placeholder ?? '']")
        if placeholder and focused[1] == placeholder:
            return
        if text and focused[0].strip() == text:
            return
    raise AssertionError(f"{text or placeholder} is not reached by the tab key")
