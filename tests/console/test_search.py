"""Search: every way to give a picture, what a search can be told, and what a hit says."""

from __future__ import annotations

import base64
import json
import os
import re
import urllib.parse
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from service.tenancy.apikeys import Scope
from tests.console.conftest import Console, Shelf, shelf_record
from tests.support.data.pictures import encode, noise, png
from tests.support.tools import need, run

pytestmark = pytest.mark.browser
PLACE = "#/collections/shelf/search"
# What a drop or a paste gives to the page, of a file.
GIVE = """([name, kind, bytes]) => {
  const file = new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type: "image/png" });
  const data = new DataTransfer();
  data.items.add(file);
  if (kind === "paste") dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, cancelable: true }));
  else document.querySelector(".query").dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true }));
}"""


def give(page: Page, kind: str, picture: bytes, name: str = "picture.png") -> None:
    page.evaluate(GIVE, [name, kind, base64.b64encode(picture).decode()])


def file(picture: bytes, name: str = "query.png") -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": picture}


def ids(page: Page) -> list[str]:
    return page.locator(".hit .id a").all_inner_texts()


def opened(console: Console, shelf: Shelf, place: str = PLACE) -> Page:
    console.key = shelf.key
    page = console.open(place)
    expect(page.get_by_role("heading", name="shelf")).to_be_visible()
    return page


def expect_first(page: Page, record_id: str) -> None:
    expect(page.locator(".hit .id a").first).to_have_text(record_id)


def test_a_picture_is_chosen_dropped_pasted_or_taken_and_leaves_no_trace(console: Console, shelf: Shelf) -> None:
    page = opened(console, shelf)
    expect(page.get_by_text("Give a picture or a record id")).to_be_visible()
    page.get_by_label("Choose a picture").set_input_files(files=[file(png(3), "secret-name.png")])
    expect_first(page, "r3")
    first = page.locator(".hit").first
    expect(first).to_contain_text("same picture")
    expect(first).to_contain_text("score 1.00, distance 0.000")
    expect(first).to_contain_text("blue" if 3 % 3 == 1 else "red")
    expect(page.locator(".how")).to_contain_text("12 of 12 records; all records were compared; encoder builtin")
    give(page, "dragover", png(4), "secret-name.png")
    expect(page.locator(".query.over")).to_be_visible()
    give(page, "drop", png(4), "secret-name.png")
    expect_first(page, "r4")
    give(page, "paste", png(5), "secret-name.png")
    expect_first(page, "r5")
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Take a picture").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".hit").first).not_to_contain_text("distance 0.000")  # the camera shows none of the records
    page.get_by_role("link", name="Records").click()
    page.go_back()
    expect(page.get_by_alt_text("The picture to search with")).to_be_visible()  # this tab still has it
    page.get_by_role("button", name="Remove").first.click()
    expect(page.get_by_text("Give a picture or a record id")).to_be_visible()
    stored = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, location.href, history.state])")
    assert set(json.loads(stored)[0]) == {"afterimage-key"}
    for text in (stored, console.server.settled_log(), *(request.url for request in console.requests)):
        assert "secret-name" not in text
        assert len(text) < 1000 or text is not stored
    assert not [r.url for r in console.requests if len(r.url) > 2000 and not r.url.startswith("blob:")]


def test_a_region_is_drawn_and_the_region_that_was_used_is_drawn_back(console: Console, shelf: Shelf) -> None:
    page = opened(console, shelf)
    wide = noise(7).resize((400, 200))
    wide.paste(noise(2, 200, 200), (0, 0))
    page.get_by_label("Choose a picture").set_input_files(files=[file(encode(wide))])
    expect(page.get_by_text("Searched with the whole picture")).to_be_visible()
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] - 1)
    page.mouse.up()
    expect_first(page, "r2")
    drawn = page.locator(".box.drawn").get_attribute("data-region")
    expect(page.locator(".box.used")).to_have_attribute("data-region", drawn or "")
    sides = [float(side) for side in (drawn or "").split()]
    assert sides == pytest.approx([0, 0, 0.5, 1], abs=0.02)
    page.get_by_text("Region in numbers").click()
    page.get_by_label("right %").fill("100")
    page.get_by_label("right %").press("Enter")
    expect(page.locator(".box.used")).to_have_attribute("data-region", re.compile(r"1\.000 "))
    page.get_by_role("button", name="Whole picture").click()
    expect(page.get_by_text("Searched with the whole picture")).to_be_visible()
    page.locator(".canvas").click()  # a click is no region
    assert "region" not in page.url


def test_records_are_more_and_less_like_others_and_everything_is_in_the_address(console: Console, shelf: Shelf) -> None:
    page = opened(console, shelf)
    page.get_by_label("Like a record").fill("r1")
    page.get_by_label("Like a record").press("Enter")
    expect(page.locator(".hit")).to_have_count(11)
    page.get_by_role("button", name="More like r6").click()
    expect(page.locator(".hit")).to_have_count(10)
    page.get_by_role("button", name="Less like r7").click()
    expect(page.locator(".hit")).to_have_count(9)
    page.get_by_label("Weight of r6").fill("2.5")
    page.get_by_label("Weight of r6").press("Enter")
    page.get_by_label("Diversity").fill("0.4")
    page.get_by_label("One hit per product").check()
    page.get_by_label("colour ↔ shape").fill("0.25")
    page.get_by_role("combobox", name="Hits").select_option("12")
    expect(page.locator(".hit")).to_have_count(5)  # products: both records of p3 are in the query
    state = urllib.parse.parse_qs(page.url.partition("?")[2])
    assert state.pop("terms") == ["1 r1\n2.5 r6\n-0.5 r7"]
    assert state == {"diversity": ["0.4"], "group": ["true"], "weights": ["1.5,0.5"], "k": ["12"]}
    shown = ids(page)
    page.reload()
    expect(page.locator(".hit")).to_have_count(5)
    assert ids(page) == shown
    page.get_by_role("button", name="Remove r1").click()
    page.get_by_role("button", name="Remove r6").click()
    expect(page.get_by_text("Give a picture or a record id")).to_be_visible()  # nothing to be like


def test_the_filter_is_built_from_facets_written_and_explained(console: Console, shelf: Shelf) -> None:
    page = opened(console, shelf, f"{PLACE}?terms=1+r0")
    expect(page.locator(".hit")).to_have_count(11)
    page.get_by_role("button", name="colour teal, 4 records").click()
    text = page.get_by_label("Only records that match")
    expect(text).to_have_value('colour = "teal"')
    expect(page.locator(".hit")).to_have_count(4)
    page.get_by_label("Attribute").select_option("price")
    page.get_by_label("Comparison").select_option("from")
    page.get_by_label("Value").fill("50")
    page.get_by_label("Add a condition").get_by_role("button").click()
    expect(text).to_have_value('colour = "teal" AND price >= 50')
    expect(page.locator(".hit")).to_have_count(3)
    page.get_by_label("Attribute").select_option("tags")
    page.get_by_label("Value").fill('t"1*')
    page.get_by_label("Add a condition").get_by_role("button").click()
    expect(text).to_have_value('colour = "teal" AND price >= 50 AND tags:"t\\"1\\*"')
    expect(page.get_by_text("No record matches.")).to_be_visible()
    text.fill("color = 'teal' OR price < 20")
    text.press("Enter")
    expect(page.get_by_text("did you mean `colour`?")).to_be_visible()
    page.get_by_role("button", name="in_stock true, 1 record").click()
    expect(text).to_have_value("(color = 'teal' OR price < 20) AND in_stock = true")
    text.fill("price <")
    text.press("Enter")
    expect(page.get_by_role("alert").first).to_contain_text("FILTER_INVALID")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".hit")).to_have_count(11)
    console.troubles = [t for t in console.troubles if "400" not in t]  # the browser notes each refused call


def test_two_collections_are_compared_side_by_side(console: Console, shelf: Shelf) -> None:
    page = opened(console, shelf)
    page.get_by_label("Choose a picture").set_input_files(files=[file(png(1))])
    expect_first(page, "r1")
    page.get_by_label("Compare with").select_option("other")
    expect(page.get_by_role("region", name="other").locator(".hit")).to_have_count(3)
    expect(page.get_by_text("25 % of the hits are the same")).to_be_visible()
    expect(page.get_by_role("region", name="shelf").locator(".hit.only")).to_have_count(9)


def test_the_search_can_be_copied_and_does_the_same_elsewhere(console: Console, shelf: Shelf, tmp_path: Path) -> None:
    need("curl", "apt-get install curl")
    page = opened(console, shelf, f"{PLACE}?terms=0.5+r2&filter=price+%3C+90&k=5&region=0,0,0.5,1&weights=1.5,0.5")
    page.get_by_label("Choose a picture").set_input_files(files=[file(png(8))])
    expect_first(page, "r8")
    page.evaluate("location.hash = location.hash + '&region=0,0,0.75,1'")
    expect(page.get_by_text("Searched with the region 0%, 0%, 75%, 100%")).to_be_visible()
    shown = ids(page)
    page.get_by_text("Copy as curl or Python").click()
    curl, python = page.locator(".copied pre").all_inner_texts()
    (tmp_path / "query.jpg").write_bytes(png(8))
    environment = {**os.environ, "AFTERIMAGE_API_KEY": shelf.key}
    said = run(["sh", "-c", curl], tmp_path, environment)
    assert [hit["recordId"] for hit in json.loads(said)["hits"]] == shown
    program = python.replace(f'"{console.origin[7:].partition(":")[0]}:50051"', repr(console.server.target))
    printed: list[str] = []
    os.environ["AFTERIMAGE_API_KEY"] = shelf.key
    try:
        exec(compile(program.replace("query.jpg", str(tmp_path / "query.jpg")), "copied", "exec"),
             {"print": lambda record_id, *_: printed.append(record_id)})  # fmt: skip
    finally:
        del os.environ["AFTERIMAGE_API_KEY"]
    assert printed == shown


def test_pictures_are_those_of_a_folder_links_to_copies_or_a_word_that_there_are_none(
    console: Console, shelf: Shelf, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    for place in (0, 1, 2):
        (folder / ("deep" if place else "") / f"r{place}.png").write_bytes(png(place))
    page = opened(console, shelf, f"{PLACE}?terms=1+r5")
    expect(page.get_by_text("This collection keeps no picture. To see pictures here")).to_be_visible()
    expect(page.locator(".hit .swatch").first).to_be_visible()
    before = len(console.requests)
    page.get_by_label("Choose a folder").set_input_files(folder)
    expect(page.get_by_text("3 of 11 are from your folder, which is not sent")).to_be_visible()
    expect(page.get_by_alt_text("Picture of r1")).to_have_js_property("complete", True)
    assert {r.url.partition(":")[0] for r in console.requests[before:]} <= {"blob"}
    shelf.client.create_collection("copies", picture_policy="ENCRYPTED_COPY")
    shelf.client.insert("copies", [*(shelf_record(place) for place in (0, 1))])
    page.evaluate("location.hash = '#/collections/copies/search?terms=1+r0'")
    picture = page.get_by_alt_text("Picture of r1")
    expect(picture).to_have_js_property("naturalWidth", 120)
    expect(page.get_by_text("This collection keeps encrypted copies. Links to them are valid for ten")).to_be_visible()
    console.key = console.server.key("shelf", [Scope.SEARCH])
    page = console.open("#/collections/copies/search?terms=1+r0")
    expect(page.get_by_text("Showing them needs a key with the scope pictures")).to_be_visible()
    assert page.locator("img").count() == 0
