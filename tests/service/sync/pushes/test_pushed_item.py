"""A pushed item becomes what the same item of a feed becomes, and bad ones are refused with their reason."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from service.errors import Reason, ServiceError
from service.sync.feed_input.feed_process import FeedReaders
from service.sync.feeds.model import AttributeField, FeedFormat, FeedOptions, FieldMapping, FieldType, Item
from service.sync.feeds.reader import read_feed
from service.sync.pushes.pushed_item import read_item
from service.sync.source_model import Source, SourceConfig, SourceState
from tests.support.data.feeds import rss

URL = "https://shop.example/feed"
ITEM = {
    "id": "1042", "title": "Red shoe", "price": "59.90 EUR", "image_link": "https://shop.example/1.jpg", "stock": "5",
    "additional_image_link": ["https://shop.example/2.jpg", "https://shop.example/3.jpg"],
}  # fmt: skip
PRODUCT = {
    "id": 7, "title": "Boot", "vendor": "Acme", "images": [{"src": "https://shop.example/1.jpg"}],
    "variants": [{"price": "9.50"}], "tags": "a, b",
}  # fmt: skip
ROWS = [
    {"Handle": "boot", "Title": "Boot", "Variant SKU": "b-1", "Image Src": "https://shop.example/1.jpg"},
    {"Handle": "boot", "Title": "", "Variant SKU": "", "Image Src": "https://shop.example/2.jpg"},
]
MAPPING = FieldMapping("sku", "", ("photo",), {"size": AttributeField("gr", FieldType.NUMBER)})


@pytest.fixture(scope="module")
def readers() -> Iterator[FeedReaders]:
    made = FeedReaders()
    yield made
    asyncio.run(made.close())


def source(kind: FeedFormat | None, mapping: FieldMapping = FieldMapping()) -> Source:
    config = SourceConfig("feed", "things", URL, options=FeedOptions(kind, "", "", mapping))
    return Source("s", config, SourceState(), 0, 0)


def of_feed(content: bytes, options: FeedOptions = FeedOptions()) -> Item:
    _, items = read_feed(io.BytesIO(content), len(content), options, URL)
    (item,) = items
    assert isinstance(item, Item), item
    return item._replace(line=0)


def as_csv(*rows: dict[str, str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize(
    ("kind", "pushed", "content"),
    [
        (FeedFormat.JSONL, ITEM, json.dumps(ITEM).encode() + b"\n"),
        (FeedFormat.JSON, ITEM, json.dumps([ITEM]).encode()),
        (FeedFormat.XML, ITEM | {"stock": 5}, rss([ITEM])),
        (FeedFormat.TABLE, {"id": 1, "stock": 5, "image_link": "https://a.example/1.jpg", "price": "5 EUR"},
         as_csv({"id": "1", "stock": "5", "image_link": "https://a.example/1.jpg", "price": "5 EUR"})),
        (FeedFormat.SHOPIFY_JSON, PRODUCT, json.dumps({"products": [PRODUCT]}).encode()),
        (FeedFormat.SHOPIFY_CSV, ROWS, as_csv(*ROWS)),
    ],
)  # fmt: skip
def test_a_pushed_item_becomes_what_the_same_item_of_the_feed_becomes(
    readers: FeedReaders, kind: FeedFormat, pushed: object, content: bytes
) -> None:
    assert read_item(readers, source(kind), json.dumps(pushed)) == of_feed(content, FeedOptions(kind))


def test_the_mapping_of_the_source_applies(readers: FeedReaders) -> None:
    pushed = {"sku": 12345678901234567890, "photo": "/1.jpg", "gr": "42", "title": "left out"}
    item = read_item(readers, source(None, MAPPING), json.dumps(pushed))
    assert (item.item_id, item.pictures) == ("12345678901234567890", ("https://shop.example/1.jpg",))
    assert item.attributes == {"size": 42.0}


def test_an_item_that_is_marked_as_deleted_is_a_deletion(readers: FeedReaders) -> None:
    item = read_item(readers, source(None), json.dumps({"id": "1", "deleted": "true"}))
    assert item.deleted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "JSON object"),
        ("5", "JSON object"),
        ("[5]", "JSON object"),
        (json.dumps([ITEM, ITEM]), "a list of 2"),
        ("{}", "item"),
        (json.dumps({"id": "1"}), "item '1': the item has no picture"),
        (json.dumps({"id": "x" * 600, "image_link": "https://a.example/1.jpg"}), "id"),
        (json.dumps(ITEM | {"title": "x" * (256 << 10)}), "larger than 256 KiB"),
        (json.dumps(ITEM | {"id": "\ud800"}), "Unicode"),
    ],
)
def test_a_bad_item_is_refused_with_its_reason(readers: FeedReaders, text: str, why: str) -> None:
    with pytest.raises(ServiceError, match=why) as refused:
        read_item(readers, source(None), text)
    assert (refused.value.reason, refused.value.field) == (Reason.ARGUMENT_INVALID, "item_json")


def test_a_folder_takes_no_items(readers: FeedReaders) -> None:
    folder = replace(source(None), state=SourceState(format="folder"))
    with pytest.raises(ServiceError, match="folder"):
        read_item(readers, folder, json.dumps(ITEM))
