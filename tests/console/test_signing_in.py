"""The key of the console: how it is entered, where it is, and what it allows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from service.tenancy.apikeys import Scope
from tests.console.conftest import PHONE, Console

pytestmark = pytest.mark.browser
STORED = "() => JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])"


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Open").click()


def test_a_key_that_is_entered_stays_in_memory_unless_its_user_says_otherwise(console: Console) -> None:
    page = console.blank()
    page.goto(console.origin)
    expect(page.get_by_label("API key")).to_be_focused()
    sign_in(page, console.key)
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    assert page.evaluate(STORED) == '[{},{},""]'
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()
    page.get_by_label("Keep it until this tab is closed").check()
    sign_in(page, f"  {console.key} ")
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate(STORED) == '[{},{},""]'


def test_a_key_in_the_fragment_of_the_address_is_entered_once_and_leaves_no_trace(console: Console) -> None:
    page = console.open()
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    assert console.key not in page.url
    assert page.evaluate("history.length") <= 2  # the empty tab and this page
    assert all(console.key not in request.url for request in console.requests)
    assert console.key not in console.server.settled_log()
    other = console.server.key("tenant-of-another-link")
    page.goto(f"{console.origin}/#key={other}")  # the page is there already: only its fragment changes
    expect(page).to_have_url(f"{console.origin}/#/")
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    assert page.evaluate("Object.values(sessionStorage)") == [other]


def test_a_wrong_key_is_refused_in_words_and_a_revoked_one_ends_the_session(console: Console, tenant_name: str) -> None:
    page = console.blank()
    page.goto(console.origin)
    sign_in(page, "af_live_wrong")
    expect(page.get_by_role("alert")).to_contain_text("KEY_")
    sign_in(page, console.key)
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    console.server.revoke(tenant_name, console.key)
    page.reload()
    sign_in(page, console.key)
    expect(page.get_by_role("alert")).to_contain_text("KEY_")
    console.troubles = [t for t in console.troubles if "401" not in t]  # the browser itself notes them


def test_the_page_hides_what_the_scopes_of_the_key_do_not_allow(console: Console, tenant_name: str) -> None:
    console.key = console.server.key(tenant_name, [Scope.SEARCH])
    page = console.open()
    expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    expect(page.get_by_text("There is no collection yet")).to_be_visible()
    expect(page.get_by_text("New collection")).to_have_count(0)
    expect(page.get_by_label("Usage")).to_have_count(0)


def test_signing_in_is_accessible_by_keyboard_alone_and_on_a_phone(
    console: Console, accessible: Callable[[Page], None]
) -> None:
    page = console.blank(bypass_csp=True, viewport=PHONE)
    page.goto(console.origin)
    accessible(page)
    page.keyboard.type(console.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Collections")).to_be_focused()
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
