"""The map: places from the server, colours by an attribute, and neighbours of the chosen record."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from afterimage.client import Client, NewRecord, Term
from tests.console.conftest import PHONE, Console

pytestmark = pytest.mark.browser
PLACE = "#/collections/shoes/map"
DIMENSION = 384
COLOURED = """canvas => {
  const pen = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
  pen.drawImage(canvas, 0, 0); const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);
  const found = new Set(); for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255)
  found.add([data[i], data[i + 1], data[i + 2]].join()); return found.size; }"""


def fill(client: Client, count: int = 40) -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(2, DIMENSION))
    client.create_collection("shoes")
    client.insert("shoes", [
        NewRecord(f"r{n}", vector=(centres[n % 2] + rng.normal(0, 0.2, DIMENSION)).tolist(),
                  attributes={"color": ["red", "blue"][n % 2], "price": float(n)}) for n in range(count)
    ])  # fmt: skip


def test_records_are_drawn_and_coloured_and_a_click_shows_the_neighbours(console: Console, client: Client) -> None:
    fill(client)
    page = console.open(PLACE)
    canvas = page.locator("canvas")
    expect(page.get_by_text("40 of 40 records")).to_be_visible()
    plain = canvas.evaluate(COLOURED)
    page.get_by_label("Colour by attribute").fill("color")
    page.get_by_label("Colour by attribute").press("Enter")
    expect(page.get_by_label("Colours")).to_contain_text("red")
    assert canvas.evaluate(COLOURED) > plain
    wanted = client.project_records("shoes", count=1000, seed=1, attribute="color").records[0]
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": (0.5 + 0.48 * wanted.x) * box["width"], "y": (0.5 + 0.48 * wanted.y) * box["height"]})
    near = page.get_by_label("Nearest records")
    expect(near).to_contain_text(f"Nearest to {wanted.record_id}")
    hits = client.search("shoes", Term(record_id=wanted.record_id), k=8).hits
    expect(near.get_by_role("button")).to_have_text([h.record_id for h in hits])
    near.get_by_role("button").first.click()
    expect(near).to_contain_text(f"Nearest to {hits[0].record_id}")
    assert f"record={hits[0].record_id}" in page.url
    page.get_by_label("Colour by attribute").fill("price")
    page.get_by_label("Colour by attribute").press("Enter")
    expect(page.get_by_label("Colours")).to_contain_text("39")
    page.get_by_label("Only records with").fill("price < 10")
    page.get_by_label("Only records with").press("Enter")
    expect(page.get_by_text("10 of 10 records")).to_be_visible()


def test_the_map_is_used_by_keyboard_alone(
    console: Console, client: Client, accessible: Callable[[Page], None]
) -> None:
    fill(client)
    page = console.open(PLACE + "?attribute=color", bypass_csp=True, viewport=PHONE)
    canvas = page.locator("canvas")
    canvas.focus()
    seen = set()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
        expect(page.get_by_label("Nearest records")).to_be_visible()
        seen.add(page.url)
    assert len(seen) > 2
    page.get_by_role("listbox", name="Record").focus()
    page.keyboard.press("End")
    expect(page.get_by_label("Nearest records").get_by_role("button").first).to_be_visible()
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_an_empty_collection_has_an_empty_map(console: Console, client: Client) -> None:
    client.create_collection("shoes")
    page = console.open(PLACE)
    expect(page.get_by_text("0 of 0 records")).to_be_visible()
    page.locator("canvas").click()
    page.keyboard.press("ArrowLeft")
