"""Feeds are parsed in a confined process: the items are the same, and failures of the parser cost only that feed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.sync.feed_input import feed_process
from service.sync.feed_input.feed_process import FeedReaders
from service.sync.feed_input.feed_worker import MOST_MEMORY
from service.sync.feeds.model import AttributeField, FeedError, FeedOptions, FieldMapping, FieldType, Item
from service.sync.feeds.preview import preview
from service.sync.feeds.reader import read_feed
from tests.support.data.feeds import MadeFile, jsonl, rss, table

ITEMS = [
    {"id": f"{n}", "title": f"shoe ü {n}", "price": "9.50 EUR", "image_link": f"https://a.example/{n}.jpg?x=%2F"}
    for n in range(1200)
]  # fmt: skip
SHOPIFY = json.dumps(
    {"products": [{"id": 7, "title": "a", "tags": ["x", "y"], "images": [{"src": "https://a.example/1.jpg"}]}]}
).encode()
FEEDS = {
    "table": table(ITEMS), "jsonl": jsonl(ITEMS), "rss": rss(ITEMS), "gzip": gzip.compress(jsonl(ITEMS)),
    "shopify": SHOPIFY, "problems": b"id,image_link\n,x\n1,https://a.example/1.jpg\n2,\n",
    "utf-16": "id,title,image_link\n1,ü,https://a.example/1.jpg\n".encode("utf-16"),
    "surrogates": b'{"id": "1", "title": "\\ud800x", "image_link": "https://a.example/1.jpg"}\n',
}  # fmt: skip


@pytest.fixture(scope="module")
def readers() -> Iterator[FeedReaders]:
    made = FeedReaders()
    yield made
    asyncio.run(made.close())


def everything(readers: FeedReaders, content: bytes, options: FeedOptions | None = None) -> list[object]:
    found, items = readers.read_feed(io.BytesIO(content), len(content), options or FeedOptions(), "https://a.example/")
    return [found, *items]


@pytest.mark.parametrize("name", FEEDS)
def test_what_comes_out_is_what_the_readers_say(readers: FeedReaders, name: str) -> None:
    content = FEEDS[name]
    found, items = read_feed(io.BytesIO(content), len(content), FeedOptions(), "https://a.example/")
    assert everything(readers, content) == [found, *items]
    seen = readers.preview(io.BytesIO(content), len(content), FeedOptions(), 5, "https://a.example/")
    assert seen == preview(io.BytesIO(content), len(content), FeedOptions(), 5, "https://a.example/")


def test_options_and_encodings_that_are_rarely_used_reach_the_reader(readers: FeedReaders) -> None:
    mapping = FieldMapping("sku", "", ("bild",), {"preis": AttributeField("cost", FieldType.NUMBER)})
    content = "sku;bild;cost\n1;https://a.example/靴.jpg;5\n".encode("shift_jis")
    _, item = everything(readers, content, FeedOptions(encoding="shift_jis", delimiter=";", mapping=mapping))
    assert isinstance(item, Item)
    assert (item.item_id, item.attributes) == ("1", {"preis": 5.0})


@pytest.mark.parametrize("content", [b"", b"<html><body>", b"\x1f\x8b\x08", b"PK\x03\x04junk", os.urandom(3000)])
def test_what_is_no_feed_is_refused_for_the_same_reason(readers: FeedReaders, content: bytes) -> None:
    with pytest.raises(FeedError) as here:
        list(read_feed(io.BytesIO(content), len(content), FeedOptions())[1])
    with pytest.raises(FeedError) as apart:
        everything(readers, content)
    assert (apart.value.reason, str(apart.value)) == (here.value.reason, str(here.value))


def test_items_before_the_place_where_a_feed_is_cut_short_come_out(readers: FeedReaders) -> None:
    content = gzip.compress(jsonl(ITEMS), mtime=0)[:-2000]
    _, items = readers.read_feed(io.BytesIO(content), len(content), FeedOptions(), "")
    seen: list[Any] = []
    with pytest.raises(FeedError) as caught:
        seen.extend(items)
    assert caught.value.reason == "FEED_TRUNCATED"
    with pytest.raises(FeedError):
        readers.preview(io.BytesIO(b"<html>"), 6, FeedOptions())


HOSTILE: dict[str, Callable[[], bytes]] = {  # made by its test: collecting the tests takes no time
    "long line": lambda: b'{"id": "' + b"a" * (80 << 20) + b'"}\n',
    "long row": lambda: b"id,image_link\n" + b"a" * (20 << 20), "deep": lambda: b"[" * (1 << 20),
    "long element": lambda: b"<rss><channel><item><g:id>" + b"a" * (20 << 20),
    "bomb": lambda: gzip.compress(b"id,x\n" + bytes(200 << 20)), "nested": lambda: b'{"a":' * 200_000,
    "quotes": lambda: b"id,image_link\n" + b'"' * (5 << 20),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_feed_that_is_made_to_use_up_memory_costs_itself(readers: FeedReaders, kind: str) -> None:
    content = HOSTILE[kind]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(FeedError):  # or the items before and behind what is too long
        everything(readers, content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # kilobytes, in this process
    assert len(everything(readers, FEEDS["table"])) == 1201


@pytest.mark.long
@pytest.mark.parametrize("kind", ["json line", "csv line", "csv cell over lines", "link of xml", "link of json"])
def test_two_hundred_mebibytes_without_an_end_take_a_reader_no_more_memory(kind: str) -> None:
    link, start = b"https://a.example/1.jpg", b"https://a.example/"
    second = b'{"id":"2","image":"' + link + b'"}'
    head, filler, tail = {
        "json line": (b'{"id":"1","image":"' + link + b'","title":"', b"x" * 1024, b'"}\n' + second + b"\n"),
        "csv line": (b"id,image,title\n1," + link + b",", b"x" * 1024, b"\n2," + link + b",b\n"),
        "csv cell over lines": (b"id,image,title\n1," + link + b',"', b"x" * 1023 + b"\n", b'"\n2,' + link + b",b\n"),
        "link of xml": (b"<rss><channel><item><id>1</id><image>" + start, b"x" * 1024,
                        b"</image></item><item><id>2</id><image>" + link + b"</image></item></channel></rss>"),
        "link of json": (b'[{"id":"1","image":"' + start, b"x" * 1024, b'"},' + second + b"]"),
    }[kind]  # fmt: skip
    readers = FeedReaders()
    try:
        pid = _reader_of(readers)
        before = _peak_kib(pid)
        raw = MadeFile(head, filler, tail, 200 << 20)
        found = []
        for item in readers.read_feed(io.BufferedReader(raw, 1 << 20), raw.size, FeedOptions(), "")[1]:
            found.append(item)
            after = _peak_kib(pid)
    finally:
        asyncio.run(readers.close())
    assert [type(i).__name__ for i in found] == ["Problem", "Item"]
    print(f"{kind}: {(after - before) / 1024:.1f} MiB over its start")
    assert after - before < 64 << 10


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def _reader_of(readers: FeedReaders) -> int:
    everything(readers, FEEDS["problems"])
    assert readers._idle is not None
    return readers._idle.pid


def test_a_reader_may_take_no_more_memory_than_a_feed_is_given(readers: FeedReaders) -> None:
    pid = _reader_of(readers)
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    most = int(next(line for line in limits if line.startswith("Max address space")).split()[3])
    status = Path(f"/proc/{pid}/status").read_text()
    used = 1024 * int(next(line for line in status.splitlines() if line.startswith("VmPeak")).split()[1])
    assert most <= used + MOST_MEMORY
    assert "Seccomp:\t2" in status


def test_a_reader_that_dies_costs_its_feed_and_one_that_died_idle_costs_nothing(readers: FeedReaders) -> None:
    os.kill(_reader_of(readers), signal.SIGKILL)
    assert len(everything(readers, FEEDS["table"])) == 1201

    class Deadly(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            os.kill(pid, signal.SIGKILL)
            return super().read(size)

    pid = _reader_of(readers)
    with pytest.raises(FeedError) as caught:
        list(readers.read_feed(Deadly(FEEDS["table"]), len(FEEDS["table"]), FeedOptions(), "")[1])
    assert caught.value.reason == "FEED_DAMAGED"
    assert len(everything(readers, FEEDS["table"])) == 1201


@pytest.mark.parametrize(
    "line",
    [b"5", b"[]", b'["x", "", ""]', b"{", b'[1, "a", "b", [5], {}, false, [], []]',
     b'[1, "a", "b", [], {"x": {}}, false, [], []]', b'[1, "a", "b", [], {}, 0, [], []]', b"[" * 100_000],
)  # fmt: skip
def test_an_item_that_is_none_is_not_believed(line: bytes) -> None:
    with pytest.raises(FeedError):
        feed_process._item(line)
