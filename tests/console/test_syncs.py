"""The screens of syncs: a new source with its preview, runs as they go, approval, undo and failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from afterimage.client import Client, NewSource
from tests.console.conftest import PHONE, Console
from tests.support.data.feeds import table
from tests.support.data.pictures import png
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shop import FETCHING, Shop

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may fetch from this machine."""
    running = share(start_server(tmp_path_factory.mktemp("fetching"), environment=FETCHING))
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(server: Server, tenant_name: str) -> Iterator[Client]:
    with server.client(server.key(tenant_name)) as connected:
        connected.create_collection("shoes")
        yield connected


def publish(shop: Shop, numbers: Sequence[int]) -> None:
    shop.pictures |= {f"/{n}.png": png(n) for n in numbers}
    rows = [{"id": str(n), "title": f"shoe {n}", "image_link": f"{shop.address}/{n}.png"} for n in numbers]
    shop.pictures["/feed"] = table(rows)


def test_a_new_source_is_previewed_made_and_run(console: Console, client: Client, shop: Shop) -> None:
    publish(shop, range(4))
    page = console.open("#/syncs")
    expect(page.get_by_text("There is no source yet.")).to_be_visible()
    page.get_by_text("New source").click()
    page.get_by_label("Address of the feed").fill(f"{shop.address}/feed")
    page.get_by_role("button", name="Preview").click()
    preview = page.get_by_role("region", name="Preview")
    expect(preview.get_by_role("row", name="image_link")).to_contain_text("picture")
    expect(preview.get_by_role("row", name="title")).to_contain_text("attribute")
    page.get_by_label("Name of the source").fill("feed")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page).to_have_url(f"{console.origin}/#/syncs/feed")
    page.get_by_role("button", name="Only plan").click()
    run = page.get_by_role("region", name="Run")
    expect(run.get_by_role("status")).to_have_text("planned")
    expect(run).to_contain_text("create")
    assert client.count_records("shoes") == 0
    page.get_by_role("button", name="Sync now").click()
    expect(run.get_by_role("status")).to_have_text("succeeded")
    assert client.count_records("shoes") == 4
    expect(page.get_by_role("table").first).to_contain_text("succeeded")


def test_a_plan_that_deletes_much_waits_for_approval_and_is_undone(
    console: Console, client: Client, shop: Shop, accessible: Callable[[Page], None]
) -> None:
    publish(shop, range(6))
    client.create_source(NewSource("feed", "shoes", f"{shop.address}/feed"))
    *_, first = client.watch_run(client.start_run("feed").run_id)
    assert first.state == "succeeded"
    publish(shop, range(2))
    page = console.open("#/syncs/feed", bypass_csp=True, viewport=PHONE)
    page.get_by_role("button", name="Sync now").focus()
    page.keyboard.press("Enter")
    run = page.get_by_role("region", name="Run")
    expect(run.get_by_role("status")).to_have_text("awaiting approval")
    expect(run.locator(".note")).not_to_have_count(0)
    run.get_by_text("Samples").click()
    expect(run).to_contain_text("delete 5")
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert client.count_records("shoes") == 6
    run.get_by_role("button", name="Cancel").click()
    expect(run.get_by_role("status")).to_have_text("cancelled")
    page.get_by_role("button", name="Sync now").click()
    expect(run.get_by_role("status")).to_have_text("awaiting approval")
    sent = len(console.requests)
    run.get_by_role("button", name="Approve this plan").click()
    expect(run.get_by_role("status")).to_have_text("succeeded")
    (approval,) = [r for r in console.requests[sent:] if r.url.endswith(":approve")]
    assert approval.post_data_json["planDigest"] == client.list_runs("feed")[0].plan.digest
    assert client.count_records("shoes") == 2
    run.get_by_role("button", name="Undo the deletions").click()
    expect(page.get_by_text("Restored 4 records.")).to_be_visible()
    assert client.count_records("shoes") == 6


def test_failures_are_listed_with_their_reasons_and_tried_again(console: Console, client: Client, shop: Shop) -> None:
    publish(shop, range(3))
    picture = shop.pictures.pop("/1.png")
    client.create_source(NewSource("feed", "shoes", f"{shop.address}/feed"))
    *_, run = client.watch_run(client.start_run("feed").run_id)
    assert run.failed_count == 1
    page = console.open("#/syncs/feed")
    expect(page.get_by_role("row", name="URL_")).to_contain_text("1")
    shop.pictures["/1.png"] = picture
    page.get_by_role("button", name="Try all again").click()
    expect(page.get_by_role("region", name="Run").get_by_role("status")).to_have_text("succeeded")
    expect(page.get_by_role("heading", name="Failures")).to_have_count(0)
    assert client.count_records("shoes") == 3


def test_a_feed_that_cannot_be_read_is_refused_in_words(console: Console, client: Client, shop: Shop) -> None:
    page = console.open("#/syncs")
    page.get_by_text("New source").click()
    page.get_by_label("Address of the feed").fill(f"{shop.address}/missing")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_be_visible()
    console.troubles = [t for t in console.troubles if "Failed to load resource" not in t]  # the browser's own note


def test_a_schedule_is_paused_and_resumed_and_nothing_else_of_the_source_changes(
    console: Console, client: Client, shop: Shop
) -> None:
    publish(shop, range(2))
    made = client.create_source(NewSource("feed", "shoes", f"{shop.address}/feed", cron="15 4 * * *"))
    page = console.open("#/syncs/feed")
    page.get_by_role("button", name="Pause the schedule").click()
    expect(page.get_by_text(", paused.")).to_be_visible()
    assert client.get_source("feed").said == replace(made.said, paused=True)
    page.get_by_role("button", name="Resume the schedule").click()
    expect(page.get_by_text("15 4 * * * UTC")).to_be_visible()
    assert client.get_source("feed").said == made.said


def test_a_source_without_a_collection_to_fill_says_so(console: Console, server: Server, shop: Shop) -> None:
    publish(shop, range(2))
    console.key = server.key("without-collections")
    page = console.open("#/syncs")
    page.get_by_text("New source").click()
    page.get_by_label("Address of the feed").fill(f"{shop.address}/feed")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("There is no collection yet that it could fill.")).to_be_visible()
    expect(page.get_by_role("button", name="Create", exact=True)).to_be_disabled()


def test_a_source_that_fails_is_seen_in_the_list_and_gets_the_new_address_of_its_feed(
    console: Console, client: Client, shop: Shop
) -> None:
    publish(shop, range(3))
    client.create_source(NewSource("good", "shoes", f"{shop.address}/feed"))
    made = client.create_source(NewSource("moved", "shoes", f"{shop.address}/before", cron="15 4 * * *"))
    *_, failed = client.watch_run(client.start_run("moved").run_id)
    assert failed.state == "failed"
    page = console.open("#/syncs")
    expect(page.get_by_role("row", name="moved")).to_contain_text("failed")
    expect(page.get_by_role("row", name="good")).not_to_contain_text("failed")
    page.get_by_role("link", name="moved").click()
    run = page.get_by_role("region", name="Run")  # the last one, without a click
    expect(run).to_contain_text("404")
    page.get_by_text("Change the address or the authorization").click()
    page.get_by_label("Authorization header").fill("Bearer secret")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("credentials are only sent over https")
    page.get_by_label("Authorization header").fill("")
    page.get_by_label("Address of the feed").fill(f"{shop.address}/feed")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_role("button", name="Sync now").click()
    expect(run.get_by_role("status")).to_have_text("succeeded")
    assert client.get_source("moved").said == replace(made.said, url=f"{shop.address}/feed")
    console.troubles = [t for t in console.troubles if "400" not in t]  # the browser's own note
