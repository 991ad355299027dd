"""Pictures of records, from where they are: the shop's own host, links to copies, or a folder of the viewer's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from afterimage.client import Client, NewRecord
from service.tenancy.apikeys import Scope
from tests.console.conftest import Console
from tests.support.data.pictures import png
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shop import FETCHING, Shop

pytestmark = pytest.mark.browser
SHOWN = {**FETCHING, "AFTERIMAGE_CONSOLE_PICTURE_HOSTS": "http://127.0.0.1:*"}
ADD_PICTURE = "url => new Promise((ended) => Object.assign(new Image(), {onerror: ended, onload: ended}).src = url)"
SEARCH, RECORD, DUPLICATES = (f"#/collections/shoes/{p}" for p in ("search?terms=1+r0", "records/r0", "duplicates"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may fetch from this machine, and whose console may show pictures from it."""
    running = share(start_server(tmp_path_factory.mktemp("showing"), environment=SHOWN))
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(server: Server, tenant_name: str) -> Iterator[Client]:
    with server.client(server.key(tenant_name)) as connected:
        yield connected


def show(page: Page, place: str) -> None:
    page.evaluate("place => { location.hash = place }", place)
    if place == DUPLICATES:
        page.get_by_role("button", name="Find").click()


def expect_picture(page: Page, record_id: str, width: int = 120) -> None:
    expect(page.get_by_alt_text(f"Picture of {record_id}").first).to_have_js_property("naturalWidth", width)


def publish(client: Client, shop: Shop) -> None:
    """r0 and r1 look the same, so that they are duplicates; r2 has bytes instead of a URL."""
    shop.pictures |= {f"/{name}.png": png(seed) for name, seed in (("r0", 0), ("r1", 0), ("gone", 3))}
    client.create_collection("shoes", picture_policy="REFERENCE")
    client.insert("shoes", [
        *(NewRecord(name, url=f"{shop.address}/{name}.png") for name in ("r0", "r1", "gone")),
        NewRecord("r2", image=png(2)),
    ])  # fmt: skip


def test_pictures_that_are_kept_by_reference_are_shown_from_the_shops_host(
    console: Console, client: Client, shop: Shop
) -> None:
    publish(client, shop)
    del shop.pictures["/gone.png"]
    shop.requests.clear()
    shop.headers.clear()
    console.foreign = (f"{shop.address}/",)
    page = console.open(SEARCH)
    expect_picture(page, "r1")
    expect(
        page.get_by_text("keeps the URLs of pictures. Your browser loads them from the shop's own host")
    ).to_be_visible()
    expect(page.locator(".hit", has_text="gone")).to_contain_text("The picture cannot be loaded")
    show(page, RECORD)
    expect_picture(page, "r0")
    show(page, DUPLICATES)
    expect_picture(page, "r0")
    expect_picture(page, "r1")
    show(page, "#/collections/shoes/records/r2")
    expect(page.get_by_text("These records have none.")).to_be_visible()
    expect(page.locator(".hit", has_text="gone")).to_contain_text("The picture cannot be loaded")
    names = {name for name, _ in shop.headers}
    assert {"/r0.png", "/r1.png", "/gone.png"} == {path for path, _ in shop.requests}
    assert not names & {"referer", "authorization", "cookie", "origin"}, "the shop learns the viewer's address alone"
    console.troubles = [t for t in console.troubles if "404" not in t]  # the browser notes the missing picture


def test_the_policy_of_the_page_holds_beside_pictures_of_a_host(console: Console, client: Client, shop: Shop) -> None:
    """A host that the setting does not name is not asked, neither by the page nor by script that got into it."""
    publish(client, shop)
    page = console.open(SEARCH)
    console.foreign = (f"{shop.address}/",)
    expect_picture(page, "r1")
    elsewhere = shop.address.replace("127.0.0.1", "localhost")
    asked = len(shop.requests)
    page.evaluate(ADD_PICTURE, f"{elsewhere}/r1.png?stolen")
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("() => { document.body.innerHTML = '<b>markup</b>' }")
    assert page.evaluate("url => fetch(url).then(() => 'sent', () => 'refused')", f"{shop.address}/r1.png") == "refused"
    assert len(shop.requests) == asked
    refused = [t for t in console.troubles if "Content Security Policy" in t or "TrustedHTML" in t]
    assert len(refused) >= 2
    console.troubles = [t for t in console.troubles if t not in refused and "localhost" not in t]


def test_a_host_that_the_setting_does_not_name_is_said_and_not_asked(
    console: Console, client: Client, shop: Shop
) -> None:
    publish(client, shop)
    shop.requests.clear()
    page = console.open()
    page.route("**/records:picture-links", lambda route: route.fulfill(
        json={"links": [{"recordId": r, "url": f"https://CDN.example/{r}.png"} for r in ("r1", "r2")]}
    ))  # fmt: skip
    show(page, SEARCH)
    expect(page.get_by_text("Pictures of cdn.example are not shown: the server's setting")).to_be_visible()
    expect(page.locator(".hit")).to_have_count(3)
    assert page.locator(".hit img").count() == 0
    assert shop.requests == []


def test_copies_are_shown_by_links_that_are_asked_for_together(
    console: Console, client: Client, tenant_name: str
) -> None:
    client.create_collection("shoes", picture_policy="ENCRYPTED_COPY")
    client.insert("shoes", [NewRecord(f"r{n}", image=png(max(n, 1))) for n in range(6)])
    before = client.audit_head().number
    page = console.open(SEARCH)
    for n in range(1, 6):
        expect_picture(page, f"r{n}")
    (entry,) = [e for e in client.list_audit_entries(after=before) if e.action == "picture.link"]
    assert entry.details["links"] == 5
    show(page, RECORD)
    expect_picture(page, "r0")
    show(page, DUPLICATES)
    expect_picture(page, "r0")
    expect(page.get_by_text("Links to them are valid for ten minutes")).to_be_visible()
    links = [r for r in console.requests if "/pictures/" in r.url]
    assert links
    assert not [r for r in links if "authorization" in r.headers]
    console.key = console.server.key(tenant_name, [Scope.SEARCH])
    reader = console.open(RECORD)
    expect(reader.get_by_text("Showing them needs a key with the scope pictures").first).to_be_visible()
    assert reader.locator("img").count() == 0


def test_pictures_of_a_folder_are_shown_wherever_it_was_chosen_and_again_after_they_changed(
    console: Console, client: Client, tmp_path: Path
) -> None:
    client.create_collection("shoes")
    client.insert("shoes", [NewRecord(f"r{n}", image=png(max(n, 1))) for n in range(4)])
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "r0.png").write_bytes(png(0))
    page = console.open(RECORD)
    page.get_by_label("Choose a folder").first.set_input_files(folder)
    expect_picture(page, "r0")  # the record itself, and not only those near it
    expect(page.get_by_text("0 of 3 are from your folder, which is not sent")).to_be_visible()
    (folder / "r1.png").write_bytes(png(1))
    page.get_by_label("Choose a folder").last.set_input_files(folder)
    expect_picture(page, "r1")
    show(page, DUPLICATES)
    expect_picture(page, "r0")
    expect_picture(page, "r1")
    expect(page.get_by_text("2 of 2 are from your folder")).to_be_visible()
    assert not [r.url for r in console.requests if r.post_data and b"PNG" in (r.post_data_buffer or b"")]
