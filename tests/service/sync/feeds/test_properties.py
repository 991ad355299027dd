"""Parsers against plain oracles, over generated inputs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.sync.feeds.model import Item
from service.sync.feeds.values.prices import NotANumber, parse_price
from tests.support.data.feeds import read

LINK = "https://s.example/1.jpg"
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters='",;|\t\n'), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
GROUPS = {",": ".", ".": ",", " ": ",", "’": ".", "'": ".", "\u202f": ",", "": "."}


@settings(max_examples=150)
@given(st.lists(TEXT, min_size=1, max_size=5), st.sampled_from(",;|"))
def test_whatever_csv_writes_is_read_as_it_was(titles: list[str], delimiter: str) -> None:
    titles = [t for t in titles if not t.startswith("=") and t not in ("NULL", "\\N")]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["id", "image_link", "title", "color"])
    writer.writerows([str(n), LINK, title, "red"] for n, title in enumerate(titles))
    if not titles:
        return
    _, items, problems = read(out.getvalue().encode())
    assert problems == []
    assert [i.attributes.get("title", "") for i in items] == [t.strip() for t in titles]


@settings(max_examples=150)
@given(st.lists(VALUES, min_size=1, max_size=6), st.sampled_from([None, 0, 2]), st.booleans())
def test_items_of_a_document_are_those_that_json_finds(values: list[Any], indent: int | None, ascii_: bool) -> None:
    items = [{"note": v, "id": str(n), "image": LINK, "more": [v]} for n, v in enumerate(values)]
    document = json.dumps({"about": values[0], "data": {"products": items}}, indent=indent, ensure_ascii=ascii_)
    _, found, problems = read(document.encode())
    assert problems == []
    assert [i.item_id for i in found] == [str(n) for n in range(len(items))]
    for item, wanted in zip(found, items, strict=True):
        assert isinstance(item, Item)
        if isinstance(wanted["note"], bool) or (isinstance(wanted["note"], str) and wanted["note"]):
            assert item.attributes["note"] == wanted["note"]


@given(st.integers(0, 10**9), st.sampled_from(sorted(GROUPS)), st.sampled_from(["", " EUR", " €", "€", "\u00a0€"]))
def test_an_amount_is_read_from_any_notation(cents: int, group: str, currency: str) -> None:
    whole = f"{cents // 100:,}".replace(",", group)
    price = parse_price(f"{whole}{GROUPS[group]}{cents % 100:02}{currency}")
    assert price == (cents / 100, "EUR" if currency else "")


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from(["-", " - ", " to ", " / ", " EUR ", "%", " ab "]))
def test_of_two_numbers_none_is_a_price(first: int, second: int, between: str) -> None:
    try:
        found = parse_price(f"{first}.00{between}{second}.00")
    except NotANumber:
        return
    raise AssertionError(found)
