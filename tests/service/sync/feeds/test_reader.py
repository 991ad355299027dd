"""Feeds of every kind: valid, broken and hostile."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import pytest

from service.sync.feeds.inflate import inflated
from service.sync.feeds.model import AttributeField, FeedError, FeedFormat, FeedOptions, FieldMapping, FieldType
from service.sync.feeds.preview import preview
from tests.support.data.feeds import RSS, jsonl, read, rss, table

ITEM = {
    "id": "1", "item_group_id": "g1", "title": "Shoe & sole", "price": "1,299.50 EUR", "brand": "Øre",
    "image_link": "https://shop.example/1.jpg",
    "additional_image_link": ["https://shop.example/1b.jpg", "https://shop.example/1c.jpg?a=1%2C2"],
}  # fmt: skip
PICTURES = ("https://shop.example/1.jpg", "https://shop.example/1b.jpg", "https://shop.example/1c.jpg?a=1%2C2")
ATTRIBUTES = {"title": "Shoe & sole", "price": 1299.5, "price_currency": "EUR", "brand": "Øre"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (rss([ITEM]), FeedFormat.XML),
        (table([ITEM]), FeedFormat.TABLE),
        (table([ITEM], ","), FeedFormat.TABLE),
        (table([ITEM], ";"), FeedFormat.TABLE),
        (b"\xef\xbb\xbf" + table([ITEM]), FeedFormat.TABLE),
        (table([ITEM]).decode().encode("utf-16"), FeedFormat.TABLE),
        (table([ITEM]).decode().encode("cp1252"), FeedFormat.TABLE),
        (jsonl([ITEM]), FeedFormat.JSONL),
        (gzip.compress(rss([ITEM])), FeedFormat.XML),
    ],
)
def test_the_same_item_is_read_from_every_format(content: bytes, kind: FeedFormat) -> None:
    found, items, problems = read(content)
    assert (found, problems) == (kind, [])
    (item,) = items
    assert (item.item_id, item.product_id, item.pictures, item.attributes) == ("1", "g1", PICTURES, ATTRIBUTES)


def test_atom_and_latin_1_are_read_as_the_document_declares(tmp_path: object) -> None:
    atom = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><feed xmlns="http://www.w3.org/2005/Atom" '
        'xmlns:g="http://base.google.com/ns/1.0"><title>t</title><entry><g:id>7</g:id><title>Grün</title>'
        '<link href="https://shop.example/7"/><g:image_link>https://shop.example/7.jpg</g:image_link></entry></feed>'
    )
    _, (item,), _ = read(atom.encode("latin-1"))
    assert item.attributes == {"title": "Grün", "link": "https://shop.example/7"}


def test_shopify_rows_with_one_handle_are_one_item() -> None:
    content = (
        b"Handle,Title,Vendor,Type,Tags,Variant Price,Image Src,Variant Image\n"
        b'boot,Boot,Acme,Shoes,"red, new",80.00,https://s.example/1.jpg,\n'
        b"boot,,,,,90.00,https://s.example/2.jpg,https://s.example/1.jpg\n"
        b"hat,Hat,Acme,Hats,,20.00,https://s.example/3.jpg,\n"
    )
    found, items, problems = read(content)
    assert (found, problems) == (FeedFormat.SHOPIFY_CSV, [])
    assert [(i.item_id, i.pictures, i.line) for i in items] == [
        ("boot", ("https://s.example/1.jpg", "https://s.example/2.jpg"), 2), ("hat", ("https://s.example/3.jpg",), 4),
    ]  # fmt: skip
    assert items[0].attributes == {
        "title": "Boot", "brand": "Acme", "product_type": "Shoes", "tags": ("red", "new"), "price": 80.0,
    }  # fmt: skip


def test_products_json_is_read() -> None:
    product = {
        "id": 42, "handle": "boot", "title": "Boot", "vendor": "Acme", "product_type": "Shoes", "tags": ["red"],
        "variants": [{"price": "80.00"}], "images": [{"src": "https://s.example/1.jpg"}, {"src": None}],
    }  # fmt: skip
    found, (item,), _ = read(json.dumps({"products": [product]}).encode())
    assert (found, item.item_id, item.pictures) == (FeedFormat.SHOPIFY_JSON, "42", ("https://s.example/1.jpg",))
    assert item.attributes["price"] == 80.0


def test_a_mapping_names_the_columns_and_types() -> None:
    content = table([{"Artikel": "7", "Foto": "https://s.example/7.jpg", "Preis": "12,50", "Neu": "yes", "x": "y"}])
    mapping = FieldMapping(
        "artikel", "", ("Foto",),
        {"price": AttributeField("Preis", FieldType.NUMBER), "is_new": AttributeField("Neu", FieldType.BOOLEAN)},
    )  # fmt: skip
    _, (item,), _ = read(content, FeedOptions(mapping=mapping))
    assert (item.item_id, item.pictures) == ("7", ("https://s.example/7.jpg",))
    assert item.attributes == {"price": 12.5, "is_new": True}


def test_json_lines_keep_their_types_and_may_say_that_an_item_is_gone() -> None:
    lines = [
        {"id": 1, "images": ["https://s.example/1.jpg", {"url": "https://s.example/2.jpg"}],
         "attributes": {"Size": 42, "sale": True, "tags": ["a", "b"]}},
        {"id": "2", "deleted": True},
    ]  # fmt: skip
    _, items, problems = read(jsonl(lines))
    assert problems == []
    assert items[0].attributes == {"size": 42.0, "sale": True, "tags": ("a", "b")}
    assert items[0].pictures == ("https://s.example/1.jpg", "https://s.example/2.jpg")
    assert items[1].deleted


def test_a_bad_item_is_a_problem_with_its_line_and_the_rest_is_read() -> None:
    rows = [{**ITEM, "id": str(i)} for i in range(5)]
    rows[1] = {**ITEM, "id": ""}
    rows[3] = {"id": "3", "title": "no picture"}
    _, items, problems = read(table(rows))
    assert [i.item_id for i in items] == ["0", "2", "4"]
    assert [(p.line, p.item_id) for p in problems] == [(3, ""), (5, "3")]
    _, items, problems = read(jsonl([ITEM]) + b"{oops\n[1]\n" + jsonl([{**ITEM, "id": "2"}]))
    assert [i.item_id for i in items] == ["1", "2"]
    assert [p.line for p in problems] == [2, 3]
    _, items, problems = read(b'id,image_link\n1,"a"b\n2,https://s.example/2.jpg\n3,https://s.example/3.jpg,x\n')
    assert [i.item_id for i in items] == ["2"]
    assert [p.line for p in problems] == [2, 4]


@pytest.mark.parametrize("make", [rss, jsonl, lambda rows: gzip.compress(rss(rows)), lambda rows: zipped(rss(rows))])
def test_a_feed_that_is_cut_short_anywhere_is_not_taken_for_whole(make: object) -> None:
    whole = make([{**ITEM, "id": str(i)} for i in range(40)])  # type: ignore[operator]
    for tenth in range(1, 10):
        cut = whole[: len(whole) * tenth // 10]
        if cut.endswith(b"\n") and make is jsonl:
            continue
        with pytest.raises(FeedError) as caught:
            read(cut)
        assert caught.value.reason == "FEED_TRUNCATED", tenth


def test_a_table_that_is_cut_within_a_row_or_a_quote_is_not_taken_for_whole() -> None:
    whole = table([{**ITEM, "id": str(i)} for i in range(40)], ",")
    for end in range(len(whole) - 100, len(whole) - 60):
        if whole[:end].endswith(b","):
            continue  # a row of which only the last, empty cell is missing looks whole
        with pytest.raises(FeedError, match="ends within"):
            read(whole[:end])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "FEED_EMPTY"),
        (b"\n  \n", "FEED_EMPTY"),
        (b"<!DOCTYPE html><html><body>502 Bad gateway</body></html>", "FEED_NOT_RECOGNISED"),
        (b"<!-- cached -->\n<HTML><head></head></HTML>", "FEED_NOT_RECOGNISED"),
        (b"<products2></products2>", "FEED_NOT_RECOGNISED"),
        (b"Service unavailable", "FEED_NOT_RECOGNISED"),
        (b'{"products": 5}', "FEED_NOT_RECOGNISED"),
        (RSS.encode() + b"<item><g:id>1</g:id></channel></rss>", "FEED_DAMAGED"),
        (b'<!DOCTYPE rss [<!ENTITY a "aaaa">]><rss>&a;</rss>', "FEED_DAMAGED"),
        (b'<rss xmlns:g="x"><channel>' + b"<a>" * 40, "FEED_DAMAGED"),
    ],
)
def test_what_is_no_feed_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    if content.startswith(b'{"products": 5'):
        with pytest.raises(FeedError) as caught:
            read(content, FeedOptions(format=FeedFormat.SHOPIFY_JSON))
    else:
        with pytest.raises(FeedError) as caught:
            read(content)
    assert caught.value.reason == reason


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(b"id\timage_link\n" + (b"1\thttps://s.example/1.jpg" + b" " * 1000 + b"\n") * 50_000)
    with pytest.raises(FeedError) as caught:
        read(bomb)
    assert caught.value.reason == "FEED_TOO_LARGE"
    entities = b'<!DOCTYPE r [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;">]><rss><channel><item>&b;</item></channel></rss>'
    with pytest.raises(FeedError, match="not allowed"):
        read(entities)
    two = io.BytesIO()
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", b"x")
        archive.writestr("b.csv", b"x")
    with pytest.raises(FeedError, match="2 files"):
        inflated(two, 100)


def test_a_huge_field_of_an_item_is_cut_and_takes_no_memory() -> None:
    _, (item,), _ = read(rss([{**ITEM, "title": "x" * 5_000_000}]))
    assert item.attributes["title"] == "x" * 1024


def test_a_preview_shows_the_first_items_and_problems() -> None:
    content = table([{**ITEM, "id": str(i) if i % 3 else ""} for i in range(100)])
    seen = preview(io.BytesIO(content), len(content), FeedOptions(), 10)
    assert seen.format is FeedFormat.TABLE
    assert (len(seen.items), len(seen.problems)) == (6, 4)


def test_bytes_that_are_not_utf_8_are_read_as_windows_1252_wherever_they_stand() -> None:
    content = (
        b"id\timage_link\ttitle\n"
        + b"1\thttps://s.example/1.jpg\t\xc3\xbc\n" * 4000
        + b"2\thttps://s.example/1.jpg\t\xfc\x80\n"
    )
    _, items, _ = read(content)
    assert [i.attributes["title"] for i in (items[0], items[-1])] == ["ü", "ü€"]
    _, items, _ = read(content, FeedOptions(encoding="latin-2"))
    assert items[0].attributes["title"] == "Ăź"


def test_an_encoding_that_nobody_knows_is_named() -> None:
    with pytest.raises(FeedError, match="klingon") as caught:
        read(table([ITEM]), FeedOptions(encoding="klingon"))
    assert caught.value.reason == "FEED_DAMAGED"


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("feed.xml", content)
    return out.getvalue()
