"""The settings of a collection."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from afterimage.client import Client
from service.tenancy.apikeys import Scope
from tests.console.conftest import Console, Shelf, shelf_record

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console")]


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
