"""The list of collections: a new one, and what the tenant has used of its limits."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from afterimage.client import Client
from service.tenancy.limits import Limits
from tests.console.conftest import Console, shelf_record

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("console")]


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
