"""The registry of feed formats."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from service.sync.feeds import formats
from service.sync.feeds.fields import ItemReader
from service.sync.feeds.formats import READERS, Beginning, Content, FeedReader, Rows, recognised
from service.sync.feeds.model import FeedError, FeedFormat, FeedOptions, Item, Row
from service.sync.feeds.reader import read_feed

BEGINNINGS = {
    FeedFormat.XML: "  <rss><channel>",
    FeedFormat.JSON: '[{"id": "1"}]',
    FeedFormat.JSONL: '{"id": "1"}\n{"id": "2"}\n',
    FeedFormat.SHOPIFY_JSON: '{"products": [{"id": 1, "handle": "a", "variants": [], "images": []}]}',
    FeedFormat.SHOPIFY_CSV: "Handle,Title,Variant SKU,Image Src\na,b,c,d\n",
    FeedFormat.TABLE: "id\ttitle\timage_link\n1\ta\tb\n",
}


def test_every_format_of_a_file_has_a_reader() -> None:
    assert set(READERS) == set(FeedFormat) - {FeedFormat.FOLDER}
    assert set(BEGINNINGS) == set(READERS)


@pytest.mark.parametrize("kind", BEGINNINGS, ids=str)
def test_each_format_is_recognised_by_its_own_reader_alone(kind: FeedFormat) -> None:
    begins = Beginning(BEGINNINGS[kind], "", frozenset())
    assert recognised(begins) is kind
    others = {k for k, reader in READERS.items() if reader.recognises(begins)}
    assert others - {FeedFormat.TABLE} == {kind} - {FeedFormat.TABLE}  # every Shopify table is a table, too


@pytest.mark.parametrize("text", ["", "hello", "\0\1\2\3" * 99])
def test_what_no_reader_knows_is_refused(text: str) -> None:
    with pytest.raises(FeedError) as caught:
        recognised(Beginning(text, "", frozenset()))
    assert caught.value.reason == "FEED_NOT_RECOGNISED"


def test_a_new_format_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(content: Content, _: ItemReader) -> Rows:
        def made() -> Iterator[Row]:
            for line in content.lines():
                if line.text.strip() and not line.text.startswith("%"):
                    number, url = line.text.split()
                    yield Row(line.number, {"id": number, "image_link": url})

        return made()

    marked = FeedReader(lambda begins: begins.first == "%", rows)
    readers = {**READERS, FeedFormat.JSONL: marked}
    monkeypatch.setattr(formats, "READERS", readers)
    monkeypatch.setattr("service.sync.feeds.reader.READERS", readers)
    content = b"% shop 1.0\n7 https://shop.example/7.jpg\n8 https://shop.example/8.jpg\n"
    _, items = read_feed(io.BytesIO(content), len(content), FeedOptions())
    assert [(i.item_id, i.pictures) for i in items if isinstance(i, Item)] == [
        ("7", ("https://shop.example/7.jpg",)), ("8", ("https://shop.example/8.jpg",)),
    ]  # fmt: skip
