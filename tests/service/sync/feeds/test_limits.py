"""Overlong parts fail alone, and no feed is ever completely in memory."""

from __future__ import annotations

import io
import tracemalloc

import pytest

from service.sync.feeds.json.items import products_digest
from service.sync.feeds.model import MAX_ITEM_CHARS, FeedError, FeedOptions, Item, Problem
from service.sync.feeds.reader import read_feed
from tests.support.data.feeds import MadeFile

LINK = b"https://s.example/1.jpg"
LONG = 24 << 20
MOST_MEMORY = 12 << 20  # less than half of what is read
FIRST, LAST = b'{"id":"1","image":"' + LINK + b'"}', b'{"id":"3","image":"' + LINK + b'"}'
SECOND = b'{"id":"2","image":"' + LINK + b'","title":"'
RSS_ITEM = b"<item><id>%d</id><image>" + LINK + b"</image>%s</item>"


def read_made(head: bytes, filler: bytes, tail: bytes) -> tuple[list[str], list[Problem], int]:
    """The ids and problems of a long feed, and the peak of allocated bytes."""
    raw = MadeFile(head, filler, tail, LONG)
    tracemalloc.start()
    try:
        _, found = read_feed(io.BufferedReader(raw, 1 << 16), raw.size, FeedOptions())
        everything = list(found)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    ids = [i.item_id for i in everything if isinstance(i, Item)]
    return ids, [p for p in everything if isinstance(p, Problem)], peak


@pytest.mark.parametrize(
    ("head", "filler", "tail"),
    [
        (FIRST + b"\n" + SECOND, b"x" * 1024, b'"}\n' + LAST + b"\n"),
        (b"id,image,title\n1," + LINK + b",a\n2," + LINK + b",", b"x" * 1024, b"\n3," + LINK + b",c\n"),
        (b"id,image,title\n1," + LINK + b',a\n2,' + LINK + b',"', b"x" * 1023 + b"\n", b'"\n3,' + LINK + b",c\n"),
        (b"id,image\n1," + LINK + b"\n2,https://s.example/", b"x" * 1024, b".jpg\n3," + LINK + b"\n"),
        (b"id\timage\ttitle\n1\t" + LINK + b"\ta\n2\t" + LINK + b"\t", b"x" * 1024, b"\n3\t" + LINK + b"\tc\n"),
        (b"[" + FIRST + b"," + SECOND, b"x" * 1024, b'"},' + LAST + b"]"),
        (b"[" + FIRST + b"," + SECOND + b'","more":[', b"[],[1]," * 100, b"0]}," + LAST + b"]"),
    ],
    ids=["json line", "csv line", "csv cell over lines", "csv link", "tsv line", "json text", "json lists"],
)  # fmt: skip
def test_an_item_that_is_too_long_fails_alone_and_takes_no_memory(head: bytes, filler: bytes, tail: bytes) -> None:
    ids, problems, peak = read_made(head, filler, tail)
    assert ids == ["1", "3"]
    assert len(problems) == 1
    assert peak < MOST_MEMORY


def test_a_long_text_in_xml_is_cut_and_takes_no_memory() -> None:
    head = b"<rss><channel>" + RSS_ITEM % (1, b"") + b"<item><id>2</id><image>" + LINK + b"</image><title>"
    ids, problems, peak = read_made(head, b"x" * 1024, b"</title></item>" + RSS_ITEM % (3, b"") + b"</channel></rss>")
    assert (ids, problems) == (["1", "2", "3"], [])
    assert peak < MOST_MEMORY


def test_a_page_of_products_is_recognised_without_being_in_memory() -> None:
    product = b',{"id":2,"body_html":"' + b"x" * 1000 + b'"}'
    raw = MadeFile(b'{"products":[{"id":1,"body_html":"x"}', product, b"]}", LONG // 4)
    tracemalloc.start()
    try:
        assert products_digest(io.BufferedReader(raw, 1 << 16))
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY // 4
    finally:
        tracemalloc.stop()


def test_an_item_of_xml_with_too_many_fields_fails_alone() -> None:
    many = b"".join(b"<f%d>x</f%d>" % (n, n) for n in range(3000))
    content = b"<rss><channel>" + RSS_ITEM % (1, many) + RSS_ITEM % (2, b"") + b"</channel></rss>"
    _, found = read_feed(io.BytesIO(content), len(content), FeedOptions())
    first, second = found
    assert isinstance(first, Problem)
    assert isinstance(second, Item)


@pytest.mark.parametrize("opening", [b'<title a="', b"<!--", b"<?x "])
def test_a_tag_or_comment_without_end_is_refused_and_takes_no_memory(opening: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(FeedError, match="more than") as caught:
            read_made(b"<rss><channel>" + RSS_ITEM % (1, b"") + opening, b"x" * 1024, b"")
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "FEED_DAMAGED"


def test_names_of_elements_without_end_are_refused() -> None:
    items = b"".join(RSS_ITEM % (i, b"".join(b"<n%d/>" % (i * 1000 + n) for n in range(1000))) for i in range(70))
    content = b"<rss><channel>" + items + b"</channel></rss>"
    with pytest.raises(FeedError, match="different names"):
        list(read_feed(io.BytesIO(content), len(content), FeedOptions())[1])


def test_values_without_end_in_one_item_fail_alone() -> None:
    many = b'{"id":"2","image":"' + LINK + b'","more":[' + b"0.5," * 150_000 + b"0]}\n"
    content = FIRST + b"\n" + many + LAST + b"\n"
    _, found = read_feed(io.BytesIO(content), len(content), FeedOptions())
    assert [type(i) for i in found] == [Item, Problem, Item]


def test_cells_are_read_up_to_their_documented_length() -> None:
    body = "x" * (MAX_ITEM_CHARS - 200)
    for quote in ('"', ""):
        content = f"id,image,description,title\n1,{LINK.decode()},{quote}{body}{quote},Mug\n".encode()
        (item,) = read_feed(io.BytesIO(content), len(content), FeedOptions())[1]
        assert isinstance(item, Item)
        assert item.attributes == {"title": "Mug"}
