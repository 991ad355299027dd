"""Collections: a new one, its settings, and what the tenant has used of its limits."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from afterimage.client import Client
from service.tenancy.apikeys import Scope
from service.tenancy.limits import Limits
from tests.console.conftest import Console, Shelf, shelf_record

pytestmark = pytest.mark.browser


def test_a_collection_is_changed_keeps_other_pictures_and_is_deleted_in_two_steps(
    console: Console, client: Client
) -> None:
    client.create_collection("shop", picture_policy="ENCRYPTED_COPY")
    client.insert("shop", [shelf_record(0)])
    page = console.open("#/collections/shop/settings")
    page.get_by_label("Description").fill("Shoes of all kinds")
    page.get_by_label("Accept truncated pictures").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    changed = client.get_collection("shop")
    assert (changed.description, changed.partial) == ("Shoes of all kinds", True)
    page.get_by_label("Policy").select_option("discard")
    page.get_by_role("button", name="Change …").click()
    expect(page.get_by_text("1 copy and 0 URLs would be deleted")).to_be_visible()
    page.get_by_role("button", name="Change it and delete them").click()
    expect(page.get_by_text("Now: discard")).to_be_visible()
    page.get_by_role("button", name="Delete …").click()
    expect(page.get_by_text("1 record would be deleted")).to_be_visible()
    assert client.count_records("shop") == 1
    page.get_by_role("button", name="Yes, delete shop").click()
    expect(page.get_by_text("There is no collection yet")).to_be_visible()


def test_a_key_that_only_searches_changes_no_settings(console: Console, shelf: Shelf) -> None:
    console.key = console.server.key("shelf", [Scope.SEARCH])
    page = console.open("#/collections/shelf/settings")
    expect(page.get_by_role("heading", name="shelf")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete …")).to_have_count(0)


def test_a_collection_is_created_and_its_search_opens(console: Console, client: Client) -> None:
    page = console.open()
    page.get_by_text("New collection").click()
    page.get_by_label("Name").fill("mugs")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/#/collections/mugs/search*")
    made = client.get_collection("mugs")
    assert (made.encoder_id, made.picture_policy) == ("builtin", "DISCARD")


def test_a_collection_with_a_name_that_is_taken_is_refused_in_words(console: Console, client: Client) -> None:
    client.create_collection("mugs", description="the first")
    page = console.open()
    page.get_by_text("New collection").click()
    page.get_by_label("Name").fill("mugs")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_contain_text("mugs")
    assert client.get_collection("mugs").description == "the first"
    console.troubles = [t for t in console.troubles if "409" not in t]  # the browser itself reports the status


def test_the_gauges_show_what_is_used_of_each_limit(console: Console, client: Client, tenant_name: str) -> None:
    client.create_collection("shop")
    client.insert("shop", [shelf_record(n) for n in range(3)])
    page = console.open()
    usage = page.get_by_role("region", name="Usage")
    expect(usage).to_contain_text("Records: 3 (no limit)")
    with console.server.registry() as registry:
        registry.limits.set(registry.tenant(tenant_name).uid, Limits(records=4))
    page.reload()
    expect(usage).to_contain_text("Records: 3 of 4")
    assert usage.get_by_role("meter").evaluate("meter => [meter.value, meter.max]") == [3, 4]
