"""Screenshots of the console over drawn pictures, for the documents: `make console-screenshots` writes docs/images."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import expect

from afterimage.client import Client, NewRecord
from examples.catalogue.generate import draw, draw_query, products
from tests.console.conftest import Console

pytestmark = [pytest.mark.browser, pytest.mark.long]
FOLDER = "CONSOLE_SCREENSHOTS"  # where to write them; unset: nowhere that lasts
QUERY = 51
DRAWN = (50, 51, 52, 54, 56, 87, 46, 20)  # the product of the query, and others


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_search_over_drawn_pictures(console: Console, client: Client, tmp_path: Path, scheme: str) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    for product in (products()[number] for number in DRAWN):
        for view in range(2):
            cv2.imwrite(str(folder / f"{product.product_id}-{view}.jpg"), draw(product, view))
    facts = {product.product_id: product for product in products()}
    client.create_collection("catalogue")
    client.insert("catalogue", [
        NewRecord(path.stem, image=path.read_bytes(), product_id=path.stem[:4], attributes={
            "category": facts[path.stem[:4]].category, "colour": facts[path.stem[:4]].colour,
            "price": facts[path.stem[:4]].price,
        }) for path in sorted(folder.iterdir())
    ])  # fmt: skip
    page = console.open("#/collections/catalogue/search", color_scheme=scheme, viewport={"width": 1280, "height": 960})
    page.get_by_label("Choose a picture").set_input_files(draw_query(QUERY, tmp_path))
    expect(page.locator(".hit")).to_have_count(16)
    expect(page.locator(".hit .id a").first).to_have_text("p051-0")
    page.get_by_label("Choose a folder").set_input_files(folder)
    expect(page.get_by_text("16 of 16 are from your folder")).to_be_visible()
    for place in range(3):
        expect(page.locator(".hit img").nth(place)).to_have_js_property("naturalWidth", 440)
    page.locator("details.copied").scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, 0)")
    target = Path(os.environ.get(FOLDER, tmp_path)) / f"console-search-{scheme}.png"
    page.screenshot(path=target)
    assert target.stat().st_size > 50_000
