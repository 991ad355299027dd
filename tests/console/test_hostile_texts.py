"""Texts that anybody may store: markup, very long words, other scripts, signs that addresses are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, ViewportSize, expect

from afterimage.client import Client, NewRecord, NewSource
from tests.console.conftest import DESKTOP, PHONE, Console

pytestmark = pytest.mark.browser
NEAREST = "role=region[name='Nearest records'] >> li >> nth=5"
LONGEST = "s" * 63  # that a collection or a source may be called
MARKUP = "<img src=x onerror=alert(1)>"
IDS = (
    "x" * 256, "ключ" * 32, "日本語" * 28, MARKUP, "a/b?c#d%25&e=f+g", "line\u2028separator", "\u202eright to left",
    "'\"`${1}\\", " spaced ", "..", "1 r2", "😀" * 64,
)  # fmt: skip
ATTRIBUTES: dict[str, Any] = {
    "note": "<script>alert(1)</script>", "quoted": 'a "b" \\ * OR c', "long": "w" * 1024, "b" * 64: "<b>bold</b>",
    "tags": [MARKUP, "v" * 500, "with, comma"], "feed": "line\nbreak", "number": -1.5e300,
}  # fmt: skip


def fill(client: Client, name: str = "shop") -> None:
    """A record of each id, all of them near each other, two the same."""
    rng = np.random.default_rng(1)
    centre = rng.normal(size=384)
    client.create_collection(name, description=MARKUP + "d" * 400)
    vectors = [(centre + rng.normal(0, 0.05, 384)).tolist() for _ in IDS]
    vectors[3] = vectors[0]
    client.insert(name, [
        NewRecord(one, vector=vector, product_id=IDS[place % 3], attributes=ATTRIBUTES)
        for place, (one, vector) in enumerate(zip(IDS, vectors, strict=True))
    ])  # fmt: skip


def watched(console: Console, size: ViewportSize) -> Page:
    page = console.open(viewport=size)
    page.on("dialog", lambda dialog: console.troubles.append("markup ran"))
    return page


def test_texts_are_text_on_every_screen_and_wider_than_none(console: Console, client: Client) -> None:
    fill(client, LONGEST)
    client.create_source(NewSource(LONGEST, LONGEST, "https://feeds.example/" + "f" * 1000, cron="15 4 * * *"))
    page = watched(console, DESKTOP)
    shop = f"collections/{LONGEST}"
    for place, complete in (
        ("collections", "article"), ("trust", ".log tbody tr"), (f"{shop}/search", ".facets"),
        (f"{shop}/records", "tbody tr >> nth=11"), (f"{shop}/records/{'x' * 256}", ".hit >> nth=8"),
        (f"{shop}/records/{'y' * 256}", "role=alert"), (f"{shop}/weak", "text=Only these counts"),
        (f"{shop}/search?terms=1+{'x' * 256}%0A-0.5+{'%F0%9F%98%80' * 64}&colors=1+%23d02030", ".hit >> nth=7"),
        (f"{shop}/search?terms=1+{'x' * 256}&filter={'y' * 500}", "role=alert"),
        (f"{shop}/search?terms=1+{'y' * 256}&texts=1+{'z' * 1000}&colors=1+{'w' * 500}", "role=alert"),
        (f"{shop}/map?attribute=long&record={'x' * 256}", NEAREST), (f"{shop}/map?filter={'y' * 500}", "role=alert"),
        (f"{shop}/duplicates?distance=0.5", "form"), (f"{shop}/settings", "form"),
        ("syncs", "tbody tr"), (f"syncs/{LONGEST}", "text=Sync now"), (f"syncs/{'x' * 300}", "role=alert"),
        (f"collections/{'x' * 300}/records", "role=alert"), ("x" * 300, "text=no such page"),
    ):  # fmt: skip
        page.evaluate("place => { location.hash = place }", f"#/{place}")
        page.locator(complete).first.wait_for()
        if "duplicates" in place:
            page.get_by_role("button", name="Find").click()
            page.locator(".group").first.wait_for()
            page.get_by_role("checkbox").first.check()
            page.get_by_role("button", name="Delete 1 selected record").click()
            page.get_by_text("for good").wait_for()
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        for size in (PHONE, DESKTOP):
            page.set_viewport_size(size)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (place, size, widest(page))
        assert page.locator("main img, main script, main b").count() == 0, place
    console.troubles = [t for t in console.troubles if "Failed to load resource" not in t]  # what is refused above


def widest(page: Page) -> list[str]:
    """The elements whose text or box reaches beyond the window."""
    found: list[str] = page.evaluate("""() => {
        const range = document.createRange();
        const end = (one) => (range.selectNodeContents(one), Math.max(
            one.getBoundingClientRect().right, ...[...range.getClientRects()].map((box) => box.right)));
        return [...document.querySelectorAll("body *")]
            .filter((one) => end(one) > innerWidth && !one.closest(".scroll"))
            .map((one) => `${one.tagName}.${one.className} ${one.textContent.slice(0, 20)} ${end(one)}`);
    }""")
    return found


def test_every_id_leads_to_its_record_and_into_a_search(console: Console, client: Client) -> None:
    fill(client)
    page = watched(console, DESKTOP)
    page.evaluate("location.hash = '#/collections/shop/records'")
    expect(page.locator("tbody tr")).to_have_count(len(IDS))
    links = page.locator("tbody td:first-child a").evaluate_all("all => all.map((one) => one.hash)")
    for one, link in zip(IDS, links, strict=True):
        page.evaluate("place => { location.hash = place }", link)
        expect(page.locator("h2").first).to_have_js_property("textContent", one)
        page.get_by_role("link", name="Search with this record").click()
        expect(page.locator(".terms strong")).to_have_js_property("textContent", one)
        expect(page.locator(".hit")).to_have_count(len(IDS) - 1)


def test_every_value_of_a_facet_selects_its_records(console: Console, client: Client) -> None:
    fill(client)
    page = watched(console, DESKTOP)
    values = {
        name: [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
        for name, value in ATTRIBUTES.items() if name != "number"
    }  # fmt: skip
    page.evaluate("location.hash = '#/collections/shop/records'")
    page.get_by_role("button", name="number from").wait_for()
    for name, texts in values.items():
        for text in texts:
            page.evaluate("location.hash = '#/collections/shop/records'")
            page.get_by_role("button", name=f"{name} {text}, {len(IDS)} records").click()
            expect(page.get_by_role("button", name="Clear")).to_be_visible()
            expect(page.get_by_role("status").filter(has_text=f"{len(IDS)} records")).to_be_visible()
            expect(page.get_by_role("alert")).to_have_count(0)
