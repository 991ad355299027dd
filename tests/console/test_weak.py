"""The report of weak results in the console."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from afterimage.client import Client, NewRecord, Term
from tests.console.conftest import PHONE, Console

pytestmark = pytest.mark.browser


def test_weak_results_are_counted_by_day_and_counting_is_stopped(
    console: Console, client: Client, accessible: Callable[[Page], None]
) -> None:
    one, other = np.eye(384)[:2].tolist()
    client.create_collection("shoes")
    client.insert("shoes", [NewRecord("1", vector=one)])
    client.search("shoes", Term(vector=one))
    client.search("shoes", Term(vector=other))
    client.search("shoes", Term(vector=other), min_score=0.5)
    page = console.open("#/collections/shoes/weak", bypass_csp=True, viewport=PHONE)
    cells = page.get_by_role("cell")
    expect(cells.nth(1)).to_have_text("3")
    expect(cells.nth(2)).to_have_text("1")
    expect(cells.nth(3)).to_have_text("1")
    expect(cells.nth(4)).to_contain_text("67 %")
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Stop counting").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Searches are not counted.")).to_be_visible()
    assert not client.search_report("shoes").enabled
    page.get_by_role("button", name="Count searches").click()
    expect(page.get_by_text("No search in these days.")).to_be_visible()
