"""Every screen: axe-core finds nothing serious, on a desktop and a phone, dark and light; the keyboard suffices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import DESKTOP, PHONE, Console, Shelf

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console")]
# Each place, and what is visible once it is complete.
PLACES = {
    "#/collections": "article >> nth=1",
    "#/collections/shelf/search?terms=1+r0&compare=other": ".hit >> nth=8",
    "#/collections/shelf/records": "tbody tr >> nth=11",
    "#/collections/shelf/records/r1": ".hit >> nth=8",
    "#/collections/shelf/settings": "text=Delete the collection",
    "#/nowhere": "text=There is no such page",
}


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_window(
    console: Console, shelf: Shelf, accessible: Callable[[Page], None], scheme: str, size: dict[str, int]
) -> None:
    console.key = shelf.key
    page = console.open(bypass_csp=True, viewport=size, color_scheme=scheme)
    for place, complete in PLACES.items():
        page.evaluate("place => { location.hash = place }", place)
        page.locator(complete).wait_for()
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        accessible(page)
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], place


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
