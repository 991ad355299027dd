"""The screen of duplicates: groups as they are found, and deletion in two steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from afterimage.client import Client, NewRecord
from service.tenancy.apikeys import Scope
from tests.console.conftest import PHONE, Console
from tests.support.data.pictures import png

pytestmark = pytest.mark.browser
PLACE = "#/collections/shoes/duplicates"
DIMENSION = 384


def fill(client: Client) -> None:
    """Two pairs of twins, one of them a little apart, and others."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(8, DIMENSION))
    vectors[1] = vectors[0]
    vectors[3] = vectors[2] + rng.normal(0, 0.65, DIMENSION)
    client.create_collection("shoes")
    names = ["first", "twin", "near", "nearly", "a", "b", "c", "<img src=x onerror=alert(1)>"]
    client.insert("shoes", [
        NewRecord(name, vector=v.tolist(), attributes={"name": name}) for name, v in zip(names, vectors, strict=True)
    ])  # fmt: skip


def find(page: Page) -> None:
    page.get_by_role("button", name="Find").click()


def test_groups_appear_and_what_is_chosen_is_deleted_in_two_steps(console: Console, client: Client) -> None:
    fill(client)
    page = console.open(PLACE)
    find(page)
    group = page.get_by_label("Group of first")
    expect(group.get_by_role("heading", name="twin")).to_be_visible()
    expect(page.locator(".group")).to_have_count(1)
    page.get_by_label("Largest distance").fill("0.2")
    expect(page).to_have_url(f"{console.origin}/{PLACE}?distance=0.2")
    find(page)
    expect(page.get_by_label("Group of near")).to_contain_text("similar")
    expect(page.get_by_role("status").filter(has_text="2 groups")).to_be_visible()
    page.get_by_role("button", name="Same product: twin").click()
    expect(group.get_by_role("status")).to_have_text("Same product")
    page.get_by_role("button", name="Not a duplicate: nearly").click()
    expect(page.locator(".group")).to_have_count(1)
    find(page)
    expect(page.get_by_role("status").filter(has_text="1 group")).to_be_visible()
    group.get_by_label("Delete twin").check()
    page.get_by_role("button", name="Delete 1 selected record").click()
    expect(page.get_by_label("Deletion")).to_contain_text("for good: twin")
    assert client.count_records("shoes") == 8
    page.get_by_role("button", name="Keep them").click()
    page.get_by_role("button", name="Delete 1 selected record").click()
    page.get_by_role("button", name="Delete 1 record", exact=True).click()
    expect(page.locator(".group")).to_have_count(0)
    assert {r.record_id for r in client.records("shoes")} == {
        "first", "near", "nearly", "a", "b", "c", "<img src=x onerror=alert(1)>",
    }  # fmt: skip


def test_copies_of_pictures_are_shown_side_by_side(console: Console, client: Client) -> None:
    client.create_collection("shoes", picture_policy="ENCRYPTED_COPY")
    client.insert("shoes", [NewRecord(name, image=png(1)) for name in ("first", "twin")])
    page = console.open(PLACE)
    find(page)
    for name in ("first", "twin"):
        picture = page.get_by_role("img", name=f"Picture of {name}")
        expect(picture).to_be_visible()
        expect(picture).not_to_have_js_property("naturalWidth", 0)


def test_a_filter_that_is_wrong_is_refused_in_words_and_nothing_found_is_said(console: Console, client: Client) -> None:
    fill(client)
    page = console.open(f"{PLACE}?filter=name+%3D+%22a%22")
    find(page)
    expect(page.get_by_text("No two records look the same.")).to_be_visible()
    page.get_by_label("Only records with").fill("name =")
    page.get_by_label("Only records with").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("FILTER")
    console.troubles = [t for t in console.troubles if "400" not in t]  # the browser itself notes them


def test_a_reader_sees_groups_and_cannot_delete_by_keyboard_on_a_phone(
    console: Console, client: Client, tenant_name: str, accessible: Callable[[Page], None]
) -> None:
    fill(client)
    console.key = console.server.key(tenant_name, [Scope.SEARCH])
    page = console.open(PLACE, bypass_csp=True, viewport=PHONE)
    page.get_by_label("Only records with").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Group of first")).to_be_visible()
    expect(page.get_by_label("Delete twin")).to_have_count(0)
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
