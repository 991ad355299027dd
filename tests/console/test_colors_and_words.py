"""Searches by colour and in words, where the encoder of a collection takes them."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from afterimage.client import Client, NewRecord
from tests.console.conftest import Console
from tests.console.test_search import ids
from tests.support.data.pictures import encode
from tests.support.data.two_towers import SPECIAL, text_model, word_tokenizer, write_towers
from tests.support.servers.server import Server, share, start_server

pytestmark = pytest.mark.browser
COLORS = ("crimson", "navy", "gold")
WORDS = ("mug", "chair")
PLACE = "#/collections/goods/search"


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    """A vector for each of WORDS, after those of SPECIAL."""
    return np.random.default_rng(1).normal(size=(len(SPECIAL) + len(WORDS), 384)).astype("<f4")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, table: np.ndarray) -> Iterator[Server]:
    """A server that also has an encoder with a text tower, which knows WORDS."""
    folder = tmp_path_factory.mktemp("towers")
    write_towers(folder / "encoders", "towers", text_model(table), word_tokenizer(WORDS))
    running = share(start_server(folder, "--encoders-dir", str(folder / "encoders")))
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(server: Server, tenant_name: str, table: np.ndarray) -> Iterator[Client]:
    """`goods`: a disc of each of COLORS on white, and what each of WORDS means."""
    discs = {color: Image.new("RGB", (120, 120), "white") for color in COLORS}
    for color, picture in discs.items():
        picture.paste(color, (20, 20, 100, 100))
    with server.client(server.key(tenant_name)) as connected:
        connected.create_collection("goods", encoder_id="towers")
        connected.create_collection("plain")
        connected.insert("goods", [NewRecord(color, image=encode(disc)) for color, disc in discs.items()])
        meant = zip(WORDS, table[len(SPECIAL) :], strict=True)
        connected.insert("goods", [NewRecord(word, vector=vector.tobytes()) for word, vector in meant])
        yield connected


def state(page: Page) -> dict[str, list[str]]:
    return urllib.parse.parse_qs(page.url.partition("?")[2])


def test_goods_are_found_by_their_colour_and_by_words_and_both_are_in_the_address(
    console: Console, client: Client
) -> None:
    page = console.open(PLACE)
    page.get_by_label("In a colour").fill("#dc143c")
    add = page.locator(".ask").get_by_role("button", name="Add").last
    add.click()
    expect(page.locator(".hit .id a").first).to_have_text("crimson")
    expect(page.locator(".terms .dot")).to_have_css("background-color", "rgb(220, 20, 60)")
    page.get_by_role("button", name="Remove #dc143c").click()
    page.get_by_label("In words").fill("  chair ")
    page.get_by_label("In words").press("Enter")
    expect(page.locator(".hit .id a").first).to_have_text("chair")
    page.get_by_label("In a colour").fill("#000080")
    add.click()
    page.get_by_label("Weight of chair").fill("-1")
    page.get_by_label("Weight of chair").press("Enter")
    expect(page.locator(".hit .id a").first).to_have_text("navy")
    expect(page.locator(".hit .id a").last).to_have_text("chair")
    assert state(page) == {"colors": ["1 #000080"], "texts": ["-1 chair"]}
    shown = ids(page)
    page.get_by_text("Copy as curl or Python").click()
    expect(page.locator(".copied pre").last).to_contain_text(
        '[Term(color="#000080", weight=1), Term(text="chair", weight=-1)]'
    )
    page.reload()
    expect(page.locator(".terms li")).to_have_count(2)
    expect(page.locator(".hit")).to_have_count(len(shown))
    assert ids(page) == shown


def test_a_field_is_there_only_where_the_encoder_takes_what_it_says(console: Console, client: Client) -> None:
    page = console.open("#/collections/plain/search")
    expect(page.get_by_label("In a colour")).to_be_visible()
    expect(page.get_by_label("In words")).to_have_count(0)


def test_a_colour_of_an_address_that_is_none_reaches_no_style_and_is_refused_in_words(
    console: Console, client: Client
) -> None:
    page = console.open(f"{PLACE}?colors=1+url(https://elsewhere.example/x.png)")
    expect(page.get_by_role("alert").first).to_contain_text("color must be")
    expect(page.locator(".terms .dot")).to_have_css("background-image", "none")
    console.troubles = [t for t in console.troubles if "400" not in t]  # the refused call
