"""The screen of trust: what is kept, who may see it, and a log that the browser verifies by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from afterimage.client import Client, NewRecord
from service.tenancy.access import WantedAccess
from service.tenancy.apikeys import Scope
from tests.console.conftest import PHONE, Console
from tests.support.data.pictures import png

pytestmark = pytest.mark.browser
PLACE = "#/trust"
Entries = list[dict[str, Any]]


def fill(client: Client) -> None:
    client.create_collection("shoes", picture_policy="ENCRYPTED_COPY", description="Grüße")
    client.insert("shoes", [NewRecord("1", image=png(1))])
    client.create_collection("plain")


def verify(page: Page) -> None:
    page.wait_for_load_state("networkidle")  # what comes late moves the button away from a click
    page.get_by_role("button", name="Verify in this browser").click()


def test_it_says_what_is_kept_what_protects_it_and_what_the_key_may(console: Console, client: Client) -> None:
    fill(client)
    page = console.open(PLACE)
    kept = page.get_by_role("region", name="What is kept of a picture")
    expect(kept.get_by_role("row", name="shoes")).to_contain_text("encrypted copy")
    expect(kept.get_by_role("row", name="plain")).to_contain_text("encoded and forgotten")
    expect(page.get_by_role("row", name="no core, no debugger")).to_contain_text("ok")
    expect(page.get_by_label("This key")).to_contain_text("admin, audit")
    expect(page.get_by_label("Usage and limits")).to_contain_text("1 of no limit")


def test_the_browser_verifies_the_log_and_its_signature(console: Console, client: Client) -> None:
    fill(client)
    page = console.open(PLACE)
    expect(page.get_by_role("row", name="collection.create").first).to_be_visible()
    verify(page)
    count = client.audit_head().number
    expect(page.get_by_text(f"All {count} entries follow from one another.")).to_be_visible()
    expect(page.get_by_text("The signature of the last one is valid.")).to_be_visible()


def changed_details(entries: Entries) -> Entries:
    entries[1]["detailsJson"] = json.dumps({"collection": "other"})
    return entries


def changed_with_its_digest(entries: Entries) -> Entries:
    entries[0]["action"], entries[0]["digest"] = "nothing", "0" * 64
    return entries


def removed(entries: Entries) -> Entries:
    return entries[:1] + entries[2:]


def cut_off(entries: Entries) -> Entries:
    return entries[:-1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed_details, "Entry 2 was changed."),
        (changed_with_its_digest, "Entry 2 does not follow from the one before it."),
        (removed, "Entry 2 is missing: number 3 follows."),
        (cut_off, "but the log ends with entry"),
    ],
)
def test_a_log_that_was_changed_is_noticed(
    console: Console, client: Client, change: Callable[[Entries], Entries], said: str
) -> None:
    fill(client)

    def forge(route: Route) -> None:
        body = route.fetch().json()
        route.fulfill(json={"entries": change(body["entries"])})

    page = console.open(PLACE)
    expect(page.get_by_role("row", name="collection.create").first).to_be_visible()
    page.route("**/v1/audit/entries*", forge)
    verify(page)
    expect(page.locator(".failure")).to_contain_text(said)


def test_a_head_with_another_signature_is_noticed(console: Console, client: Client) -> None:
    fill(client)

    def forge(route: Route) -> None:
        body = route.fetch().json()
        body["head"]["timeMs"] = str(int(body["head"]["timeMs"]) + 1)
        route.fulfill(json=body)

    page = console.open(PLACE)
    page.route("**/v1/audit/head", forge)
    verify(page)
    expect(page.locator(".failure")).to_contain_text("The signature of the head is not valid.")


def test_access_is_approved_and_declined_in_two_steps(console: Console, client: Client, tenant_name: str) -> None:
    with console.server.registry() as registry:
        uid = registry.tenant(tenant_name).uid
        for reason in ("ticket 1", "ticket 2"):
            registry.access.ask(uid, WantedAccess(reason, frozenset({Scope.SEARCH}), 30))
    page = console.open(PLACE)
    first, second = (page.get_by_role("article").filter(has_text=f"ticket {n}") for n in (1, 2))
    first.get_by_role("button", name="Approve").click()
    first.get_by_role("button", name="No").click()
    first.get_by_role("button", name="Approve").click()
    first.get_by_role("button", name="Yes, approve").click()
    expect(first).to_contain_text("approved")
    second.get_by_role("button", name="Decline").click()
    second.get_by_role("button", name="Yes, decline").click()
    expect(second).to_contain_text("declined")
    states = {r.reason: r.state for r in client.list_access_requests()}
    assert states == {"ticket 1": "approved", "ticket 2": "declined"}
    first.get_by_role("button", name="Revoke").click()
    first.get_by_role("button", name="Yes, revoke").click()
    expect(first).to_contain_text("revoked")


def test_a_receipt_is_verified_without_being_sent(console: Console, client: Client, tmp_path: Path) -> None:
    fill(client)
    receipt = client.erase_records("shoes", record_ids=["1"])
    content = asdict(receipt)
    good, bad, other = (tmp_path / f"{name}.json" for name in ("good", "bad", "other"))
    good.write_text(json.dumps(content, default=list))
    bad.write_text(json.dumps({**content, "records": 7}, default=list))
    other.write_text("no receipt")
    page = console.open(PLACE)
    asked = len(console.requests)
    for file, said in ((good, "is signed by"), (bad, "does not fit"), (other, "not a receipt")):
        page.get_by_label("Verify a receipt").set_input_files(file)
        expect(page.get_by_text(said)).to_be_visible()
    assert all(r.method == "GET" for r in console.requests[asked:])


def test_a_key_that_may_only_search_sees_its_own_part_on_a_phone(
    console: Console, client: Client, tenant_name: str, accessible: Callable[[Page], None]
) -> None:
    fill(client)
    page = console.open(PLACE, bypass_csp=True, viewport=PHONE)
    expect(page.get_by_role("row", name="collection.create").first).to_be_visible()
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Verify in this browser").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The signature of the last one is valid.")).to_be_visible()
    console.key = console.server.key(tenant_name, [Scope.SEARCH])
    reader = console.open(PLACE)
    expect(reader.get_by_text("A key with the scopes admin and audit shows more here.")).to_be_visible()
    expect(reader.get_by_role("button", name="Verify in this browser")).to_have_count(0)
