"""Records: the table, one record, its changes, and its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from afterimage.client import Client, NewRecord
from service.tenancy.apikeys import Scope
from tests.console.conftest import Console, Shelf, shelf_record

pytestmark = pytest.mark.browser


def column(page: Page, number: int = 1) -> list[str]:
    return page.locator(f"tbody td:nth-child({number})").all_inner_texts()


def test_records_are_listed_ordered_filtered_and_paged(console: Console, shelf: Shelf, client: Client) -> None:
    console.key = shelf.key
    page = console.open("#/collections/shelf/records")
    expect(page.locator("tbody tr")).to_have_count(12)
    expect(page.get_by_text("12 records")).to_be_visible()
    assert column(page)[:3] == ["r0", "r1", "r2"]
    page.get_by_label("Order").select_option("price desc")
    expect(page.locator("tbody tr td").first).to_have_text("r11")
    page.get_by_role("button", name="price below 20, 2 records").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert column(page) == ["r1", "r0"]
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert column(page) == ["r1", "r0"]


def test_pages_follow_each_other_and_can_be_gone_back_to(console: Console, client: Client) -> None:
    client.create_collection("many")
    vector = [0.0] * client.get_collection("many").dimension
    vectors = [[*vector[:n], 1.0, *vector[n + 1 :]] for n in range(70)]
    client.insert("many", [NewRecord(f"m{n:03d}", vector=one) for n, one in enumerate(vectors)])
    page = console.open("#/collections/many/records")
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Next page").click()
    expect(page.locator("tbody tr")).to_have_count(20)
    assert column(page)[0] == "m050"
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.go_forward()
    expect(page.locator("tbody tr")).to_have_count(20)
    page.get_by_role("link", name="First page").click()
    expect(page.locator("tbody tr")).to_have_count(50)


def test_a_record_shows_its_fields_and_neighbours_and_is_changed(console: Console, client: Client) -> None:
    client.create_collection("shop")
    client.insert("shop", [shelf_record(place) for place in range(3)])
    page = console.open("#/collections/shop/records/r1")
    expect(page.locator(".hit .id a")).to_have_count(2)
    fingerprint = client.get_collection("shop").encoder_fingerprint
    expect(page.get_by_text(fingerprint)).to_be_visible()
    page.get_by_text("Edit", exact=True).click()
    page.get_by_label("Product").fill("p9")
    page.get_by_role("button", name="Remove colour").click()
    page.get_by_role("button", name="Add an attribute").click()
    page.get_by_label("Attribute").last.fill("size")
    page.get_by_label("Type").last.select_option("number")
    page.get_by_label("Value").last.fill("many")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("size: many is no number")
    page.get_by_label("Value").last.fill("42.5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    ((record,), _) = client.get_records("shop", ["r1"])
    assert record.product_id == "p9"
    assert record.attributes == {"price": 10.0, "in_stock": False, "tags": ("new", "t1"), "size": 42.5}
    expect(page.locator("dd", has_text="42.5")).to_be_visible()
    page.get_by_role("link", name="Search with this record").click()
    expect(page.get_by_text("More like r1")).to_be_visible()


def test_a_record_is_deleted_in_two_steps_or_erased_with_a_receipt(
    console: Console, client: Client, tmp_path: Path
) -> None:
    client.create_collection("shop")
    client.insert("shop", [shelf_record(place) for place in range(3)])
    page = console.open("#/collections/shop/records/r1")
    page.get_by_text("Delete or erase").click()
    page.get_by_role("button", name="Delete …").click()
    page.get_by_role("button", name="Keep it").click()
    assert client.count_records("shop") == 3
    page.get_by_role("button", name="Delete …").click()
    page.get_by_role("button", name="Yes, delete it").click()
    expect(page.get_by_text("The record is deleted.")).to_be_visible()
    assert client.count_records("shop") == 2
    page.evaluate("location.hash = '#/collections/shop/records/r2'")
    page.get_by_text("Delete or erase").click()
    page.get_by_role("button", name="Erase with receipt …").click()
    page.get_by_role("button", name="Yes, erase it").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the receipt").click()
    download.value.save_as(tmp_path / "receipt.json")
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert (receipt["what"], receipt["collection"], receipt["records"]) == ("records", "shop", "1")
    assert client.count_records("shop") == 1
    page.evaluate("location.hash = '#/collections/shop/records/r2'; location.reload()")
    expect(page.get_by_role("alert")).to_contain_text("There is no record r2")
    console.troubles = [t for t in console.troubles if "404" not in t]  # the browser notes each refused call


def test_a_key_that_only_searches_is_offered_no_change(console: Console, shelf: Shelf) -> None:
    console.key = console.server.key("shelf", [Scope.SEARCH])
    page = console.open("#/collections/shelf/records/r1")
    expect(page.locator(".hit .id a")).to_have_count(11)
    expect(page.get_by_text("Edit", exact=True)).to_have_count(0)
    expect(page.get_by_text("Delete or erase")).to_have_count(0)
