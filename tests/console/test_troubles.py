"""What goes wrong around the page: a server that is gone, answers and files that nobody expects."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from afterimage.client import Client, NewRecord
from service.tenancy.apikeys import Scope
from tests.console.conftest import Console, Shelf
from tests.console.test_search import GIVE, file, give
from tests.support.data.pictures import png
from tests.support.servers.server import start_server

pytestmark = pytest.mark.browser
PLACE = "#/collections/shelf/search"
UNREACHABLE = "The server cannot be reached"


def without_network_notes(console: Console) -> None:
    """Drops what the browser itself says of requests that failed."""
    console.troubles = [t for t in console.troubles if "Failed to load resource" not in t]


def test_a_server_that_stops_is_said_and_everything_goes_on_when_it_is_back(console: Console, tmp_path: Path) -> None:
    first = start_server(tmp_path)
    key = first.key("acme")
    with first.client(key) as client:
        client.create_collection("shoes")
        client.insert("shoes", [NewRecord(f"r{n}", image=png(n)) for n in range(3)])
    console.server, console.key = first, key
    page = console.open("#/collections/shoes/records")
    expect(page.locator("tbody tr")).to_have_count(3)
    assert first.stop() == 0
    page.get_by_label("Order").select_option(index=0)
    page.get_by_role("link", name="Search").click()
    expect(page.get_by_role("alert").first).to_contain_text(UNREACHABLE)
    port = first.http.rpartition(":")[2]
    second = start_server(tmp_path, "--http", f"127.0.0.1:{port}")
    page.get_by_role("button", name="Try again").first.click()
    page.get_by_label("Like a record").fill("r1")
    page.get_by_label("Like a record").press("Enter")
    expect(page.locator(".hit")).to_have_count(2)
    assert second.stop() == 0
    without_network_notes(console)


def test_a_kept_key_survives_a_server_that_does_not_answer(console: Console) -> None:
    page = console.open()
    page.route("**/v1/server", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text(UNREACHABLE)
    expect(page.get_by_label("API key")).to_have_count(0)
    page.unroute("**/v1/server")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    page.route("**/v1/server", lambda route: route.abort())
    page.reload()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_focused()
    without_network_notes(console)


def test_a_run_is_watched_again_after_the_connection_broke(console: Console) -> None:
    run = {"runId": "1", "source": "feed", "state": "running", "createTime": "2026-01-01T00:00:00Z", "notes": []}
    page = console.open()
    answers: Iterator[str] = iter(("", '{"run": ' + str({**run, "deletedCount": "0"}).replace("'", '"') + "}\n"))

    def watch(route: Route) -> None:
        body = next(answers)
        route.fulfill(body=body) if body else route.abort()

    page.route("**/v1/runs/1:watch", watch)
    page.route("**/v1/sources/feed", lambda route: route.fulfill(json={"source": {"collection": "shoes", "url": "x"}}))
    page.route("**/v1/runs?*", lambda route: route.fulfill(json={"runs": []}))
    page.route("**/v1/sources/feed/failures*", lambda route: route.fulfill(json={"failures": []}))
    page.evaluate("location.hash = '#/syncs/feed?run=1'")
    expect(page.get_by_role("alert")).to_contain_text(UNREACHABLE)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_label("Run").get_by_role("status")).to_have_text("running")
    expect(page.get_by_role("alert")).to_have_count(0)
    without_network_notes(console)


def test_an_answer_that_a_screen_cannot_show_leaves_the_rest_of_the_page(console: Console, shelf: Shelf) -> None:
    console.key = shelf.key
    page = console.open()
    page.route("**/v1/collections/*/index", lambda route: route.fulfill(json={"recall": "NaN"}))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("This page cannot show what the server answered")
    page.get_by_role("link", name="Trust").click()
    expect(page.get_by_role("heading", name="This key")).to_be_visible()
    page.unroute("**/v1/collections/*/index")
    page.get_by_role("link", name="Collections").click()
    expect(page.get_by_role("link", name="shelf")).to_be_visible()


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_of_one_scope_asks_the_server_for_nothing_that_it_may_not(
    console: Console, shelf: Shelf, scope: Scope
) -> None:
    """On every screen that the page offers it, and on those whose address it was given."""
    console.key = console.server.key("shelf", [scope])
    refused: list[str] = []
    page = console.open()
    page.on(
        "response", lambda answer: refused.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
    )
    for place in ("collections", "syncs", "trust", *(f"collections/shelf/{tab}" for tab in (
        "search", "records", "records/r1", "duplicates", "map", "weak", "settings"
    ))):  # fmt: skip
        page.evaluate("place => { location.hash = place }", f"#/{place}")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        page.wait_for_load_state("networkidle")
    assert refused == []


def test_a_file_that_misses_its_box_is_taken_and_none_replaces_the_page(console: Console, shelf: Shelf) -> None:
    console.key = shelf.key
    page = console.open(PLACE)
    page.locator(".facets li").first.wait_for()
    missing = GIVE.replace('document.querySelector(".query")', "document.body").replace(
        "dispatchEvent(new DragEvent(", "dispatchEvent(window.given = new DragEvent("
    ).replace("bubbles: true", "bubbles: true, cancelable: true")  # fmt: skip
    picture = base64.b64encode(png(4)).decode()
    page.evaluate(missing, ["picture.png", "drop", picture])
    expect(page.locator(".hit .id a").first).to_have_text("r4")
    assert page.evaluate("given.defaultPrevented")
    page.get_by_role("link", name="Records").click()
    expect(page.locator("tbody tr")).to_have_count(12)
    page.evaluate(missing, ["picture.png", "drop", picture])
    assert page.evaluate("given.defaultPrevented"), "the browser would open the file in place of the page"


def test_the_same_picture_can_be_chosen_again(console: Console, shelf: Shelf) -> None:
    console.key = shelf.key
    page = console.open(PLACE)
    page.get_by_label("Choose a picture").set_input_files(files=[file(png(3))])
    expect(page.locator(".hit .id a").first).to_have_text("r3")
    page.get_by_role("button", name="Remove").first.click()
    chosen = page.get_by_label("Choose a picture")
    expect(chosen).to_have_value("")  # else the browser sees no change, and says nothing to the page
    chosen.set_input_files(files=[file(png(3))])
    expect(page.locator(".hit .id a").first).to_have_text("r3")


def test_what_is_no_picture_or_too_large_is_refused_in_words(console: Console, shelf: Shelf) -> None:
    console.key = shelf.key
    page = console.open(PLACE)
    page.locator(".facets li").first.wait_for()
    give(page, "drop", b"no picture at all", "notes.txt")
    expect(page.get_by_role("alert")).to_contain_text("IMAGE_")
    expect(page.get_by_text("This browser cannot show the picture")).to_be_visible()
    most = shelf.client.server_info().limits["max_image_bytes"]
    page.get_by_label("Another picture").set_input_files(files=[file(png(3) + bytes(most))])
    expect(page.get_by_role("alert")).to_contain_text("IMAGE_TOO_LARGE")
    console.troubles = [t for t in console.troubles if not re.search("40[0-9]|41[0-9]", t)]


def test_a_command_to_copy_is_one_command_whatever_a_link_says(console: Console, shelf: Shelf) -> None:
    console.key = shelf.key
    name = "x'$(id)`id`; id #"
    page = console.open(f"#/collections/{name.replace(' ', '%20').replace('#', '%23')}/search?terms=1+a'%3Bid")
    page.get_by_text("Copy as curl or Python").click()
    words = shlex.split(page.locator(".copied pre").first.inner_text())
    assert words[:2] == ["curl", "-fsS"]
    assert words[2].startswith(f"{console.origin}/v1/collections/x'")
    assert "a';id" in words[-1]
    assert len(words) == 10  # the line end after the backslash is one of them
    console.troubles = [t for t in console.troubles if "Failed to load resource" not in t]


def test_an_address_written_by_hand_breaks_nothing(console: Console, shelf: Shelf) -> None:
    console.key = shelf.key
    page = console.open()
    for place in (
        "#/%", "#/collections/%E0%A4%A/search", "#/collections//search", f"{PLACE}?k=x&region=1,2&weights=a&terms=zzz",
        f"{PLACE}?terms=9e9+r1&diversity=-4&k=1e9", "#/collections/shelf/map?seed=x&count=-1",
    ):  # fmt: skip
        page.evaluate("place => { location.hash = place }", place)
        expect(page.get_by_role("heading", level=1)).to_be_focused()
    blank = console.blank()
    blank.goto(f"{console.origin}/#key=%E0%A4%A")
    expect(blank.get_by_label("API key")).to_be_visible()
    console.troubles = [t for t in console.troubles if "Failed to load resource" not in t]


def test_a_list_whose_values_have_commas_is_not_changed_by_editing_something_else(
    console: Console, client: Client
) -> None:
    client.create_collection("shop")
    tags = ("red, dark", "[new]", " edge ")
    client.insert("shop", [NewRecord("r1", image=png(1), attributes={"tags": list(tags), "size": 1.0})])
    page = console.open("#/collections/shop/records/r1")
    page.get_by_text("Edit", exact=True).click()
    page.get_by_label("Product").fill("p1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    ((record,), _) = client.get_records("shop", ["r1"])
    assert (record.product_id, record.attributes) == ("p1", {"tags": tags, "size": 1.0})
    expect(page.locator("dd", has_text="red, dark")).to_be_visible()  # size, tags
    value = page.get_by_label("Value").nth(1)
    value.fill(value.input_value().replace("dark", "light"))
    page.get_by_role("button", name="Save").click()
    expect(page.locator("dd", has_text="red, light")).to_be_visible()
    value.fill("[broken")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("write a list as")
    ((record,), _) = client.get_records("shop", ["r1"])
    assert record.attributes["tags"] == ("red, light", "[new]", " edge ")


def test_what_is_being_typed_stays_when_an_answer_arrives(console: Console, shelf: Shelf) -> None:
    console.key = shelf.key
    page = console.open(PLACE + "?terms=1+r0")
    expect(page.locator(".hit")).to_have_count(11)
    held: list[Route] = []
    page.route("**/shelf:search", lambda route: held.append(route))
    with page.expect_request("**/shelf:search"):
        page.evaluate(f"location.hash = '{PLACE}?terms=1+r0&k=5'")
    weight = page.get_by_label("Weight of r0")
    weight.fill("2.5")
    held[0].fallback()
    expect(page.locator(".hit")).to_have_count(5)
    expect(weight).to_have_value("2.5")
    page.unroute("**/shelf:search")
    weight.press("Enter")
    expect(page).to_have_url(re.compile(r"terms=2\.5\+r0"))
    weight.fill("")
    weight.press("Enter")  # nothing that it could be: as much as ever
    expect(weight).to_have_value("1")
