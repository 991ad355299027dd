"""Sends marked secrets along every path of a real server, then searches for what is left of them.

Each secret is a different word, so that a match shows its path. The positive control is the same server without
protections, which must leave some.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from afterimage.client import AfterimageError, Client, NewRecord, NewSource, Term
from tests.support.collector import running_collector
from tests.support.data.feeds import jsonl
from tests.support.data.files import all_bytes
from tests.support.data.pictures import png
from tests.support.data.two_towers import bpe_tokenizer, text_model, write_towers
from tests.support.servers.server import Server, start_server
from tests.support.servers.tls import make_certificates
from tests.support.servers.tls_shop import TlsShop

_PATIENCE_S = 30.0
CONTROL = "attribute"  # whose place is the memory of a server, so that a search that does not find it is of no use
# Where a secret must not be; of attributes and file names the memory of a server is their place.
EVERYWHERE = frozenset({"server", "helpers", "redis", "files", "log", "metrics", "spans"})
IN_SPANS = frozenset({"spans", "metrics"})  # names and ids, which the service stores
BUT_IN_MEMORY = EVERYWHERE - {"server"}


_MARK = "cnry"
_JOINING = frozenset({"traceparent", "tracestate", "baggage", "x-request-id"})  # what joins requests
_PART = re.compile(rb"cnry([0-9a-f]{16})")


def word() -> str:
    """A unique secret of two halves. Either half is sufficient for a match."""
    return "".join(f"{_MARK}{os.urandom(8).hex()}" for _ in range(2))


@dataclass
class Secrets:
    """Words by kind, and the places where each must not be."""

    words: dict[str, str] = field(default_factory=dict)
    places: dict[str, frozenset[str]] = field(default_factory=dict)
    api_key: str = ""

    def new(self, name: str, places: frozenset[str] = EVERYWHERE) -> str:
        """Another secret."""
        self.words[name], self.places[name] = word(), places
        return self.words[name]

    def found(self, place: str, content: bytes) -> set[str]:
        """The forbidden secrets in a text, complete or by half."""
        halves = {half.decode() for half in _PART.findall(content)}
        left = {n for n, secret in self.words.items() if place in self.places[n] and any(h in secret for h in halves)}
        return left | ({"API key"} if self.api_key and self.api_key[20:40].encode() in content else set())


def send_everywhere(client: Client, shop: TlsShop, secrets: Secrets) -> None:
    """Sends pictures by URL, feeds with pages, redirects, credentials and a webhook, texts, and failing calls."""
    client.create_collection("c")
    client.create_collection(secrets.new("collection", IN_SPANS), description=secrets.new("description", IN_SPANS))
    path = f"/p.png?sig={secrets.new('picture url')}"
    moved = f"/moved.png?sig={secrets.new('redirect')}"
    shop.answers[path], shop.redirects["/old.png"], shop.answers[moved] = png(1), moved, png(2)
    records = [NewRecord("1", url=shop.address + path), NewRecord("2", url=shop.address + "/old.png")]
    records += [NewRecord("3", url=f"{shop.address}/none?sig={secrets.new('missing url')}")]
    records += [NewRecord("4", url=f"https://{secrets.new('bad url')}@shop.example/")]
    client.insert("c", records)
    attribute = secrets.new(CONTROL, BUT_IN_MEMORY)
    client.insert("c", [NewRecord("5", url=shop.address + path, attributes={"note": attribute})])
    record = NewRecord(
        secrets.new("record id", IN_SPANS), image=png(4), product_id=secrets.new("product id", IN_SPANS),
        attributes={secrets.new("attribute name", IN_SPANS): "red"},
    )  # fmt: skip
    client.insert("c", [record])
    client.search("c", Term(url=shop.address + path), filter=f'note = "{secrets.new("filter", IN_SPANS)}"')
    client.delete_records("c", record_ids=[record.record_id])
    with contextlib.suppress(AfterimageError):
        client.search(secrets.new("no collection", IN_SPANS), png(1))
    with contextlib.suppress(AfterimageError):
        client.search("c", Term(url=f"{shop.address}/none?sig={secrets.new('missing query')}"))
    _follow(client, shop, secrets)
    _search_in_words(client, secrets)


def _search_in_words(client: Client, secrets: Secrets) -> None:
    """Texts that are encoded, twice as a cache would notice, and texts that are refused."""
    client.create_collection("words", encoder_id="towers")
    client.insert("words", [NewRecord("1", image=png(6))])
    for name in ("text", "text beside a picture"):
        terms = [Term(text=f"{secrets.new(name)} mug")] + ([Term(image=png(7))] if "picture" in name else [])
        for _ in range(2):
            client.search("words", terms)
    client.classify("words", Term(text=secrets.new("text to classify")), "color")
    for collection, text in (
        ("c", secrets.new("text for no text tower")), ("words", "long " * 300 + secrets.new("text too long")),
        ("gone", secrets.new("text for no collection")),
    ):  # fmt: skip
        with contextlib.suppress(AfterimageError):
            client.search(collection, Term(text=text))


def _towers(folder: Path) -> Path:
    """Encoders with a text tower whose tokenizer could remember words."""
    tokenizer = bpe_tokenizer([f"{_MARK}0123456789abcdef mug"] * 3)
    table = np.random.default_rng(3).normal(size=(tokenizer.get_vocab_size(), 384)).astype(np.float32)
    return write_towers(folder, "towers", text_model(table), tokenizer)


def _follow(client: Client, shop: TlsShop, secrets: Secrets) -> None:
    feed = f"/feed?token={secrets.new('feed url')}"
    item = f"/i.png?sig={secrets.new('item url')}"
    bad = f"/gone.png?sig={secrets.new('failing item url')}"
    shop.answers[item] = png(3)
    item_id = secrets.new("item id", IN_SPANS)
    shop.answers[feed] = jsonl(
        [{"id": item_id, "title": secrets.new("title", BUT_IN_MEMORY), "image_link": shop.address + item},
         {"id": "b", "image_link": shop.address + bad}]
    )  # fmt: skip
    hook, secret = f"/hook?t={secrets.new('webhook url')}", secrets.new("webhook secret")
    shop.answers[hook] = b"ok"
    feed_name = secrets.new("source", IN_SPANS)
    source = NewSource(feed_name, "c", shop.address + feed, authorization=f"Bearer {secrets.new('feed credentials')}",
                       webhook_url=shop.address + hook, webhook_secret=secret, min_items_share=0.0)  # fmt: skip
    client.preview_feed(shop.address + feed, authorization=source.authorization)
    client.create_source(source)
    for full in (False, True):
        list(client.watch_run(client.start_run(feed_name, full=full).run_id))
    list(client.list_sources())
    pages = f"/products.json?key={secrets.new('paging url')}"
    shop.answers[f"{pages}&limit=250&page=1"] = b'{"products":[{"id":7,"title":"x","images":[{"src":"%s"}]}]}' % (
        (shop.address + item).encode()
    )
    shop.answers[f"{pages}&limit=250&page=2"] = b'{"products":[]}'
    client.create_source(NewSource("pages", "c", shop.address + pages, min_items_share=0.0))
    list(client.watch_run(client.start_run("pages").run_id))


def memory_of(pid: int) -> Iterator[bytes]:
    """All writable memory of a process, part by part. Needs root."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions = line.split()[:2]
            low, high = (int(x, 16) for x in span.split("-"))
            if not permissions.startswith("rw"):
                continue
            try:
                memory.seek(low)
                yield memory.read(high - low)
            except (OSError, OverflowError):
                continue


def in_memory(secrets: Secrets, place: str, pid: int) -> set[str]:
    """Secrets in the memory of a process."""
    found: set[str] = set()
    for content in memory_of(pid):
        found |= secrets.found(place, content)
    return found


def run(folder: Path, environment: dict[str, str], *, patience_s: float = _PATIENCE_S) -> dict[str, set[str]]:
    """Starts a server, sends everything, and returns the secrets left in each place.

    `seen`: those that may be in the server's memory. Data of connections is released after a moment, so that the search
    is repeated for `patience_s`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    certificates, secrets = make_certificates(folder), Secrets()
    given = {
        "AFTERIMAGE_FETCH_NETWORKS": '["127.0.0.1/32", "::1/128"]', "AFTERIMAGE_FETCH_RATE_PER_HOST": "1000",
        "SSL_CERT_FILE": str(certificates.ca), "TMPDIR": str(folder), "AFTERIMAGE_LOG_LEVEL": "debug",
        "AFTERIMAGE_XIMILAR_DOOR": "true", **environment,
    }  # fmt: skip
    with TlsShop().running(certificates) as shop, running_collector() as collector:
        given |= {"AFTERIMAGE_TRACE_ENDPOINT": collector.url, "AFTERIMAGE_TRACE_SHARE": "1"}
        server = start_server(folder / "s", "--encoders-dir", str(_towers(folder / "e")), environment=given, anew=True)
        secrets.api_key = server.key("acme")
        with server.client(secrets.api_key) as client:
            send_everywhere(client, shop, secrets)
        _ask_for_a_path(server, secrets.new("HTTP path"))
        _send_local_path(server, secrets)
        left = _searched(server, secrets, patience_s)
        assert server.stop() == 0
        assert not [name for _, _, headers in shop.requests for name in headers if name in _JOINING]
        assert len(collector.spans()) > 50
        left["spans"] = secrets.found("spans", collector.raw)
    left["files"] = secrets.found("files", all_bytes(folder / "s"))
    return {place: names for place, names in left.items() if names}


def _ask_for_a_path(server: Server, secret: str) -> None:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://{server.http}/pictures/{secret}?q={secret}")


def _send_local_path(server: Server, secrets: Secrets) -> None:
    """As Ximilar's client does: a picture, and the path of its file. It sends a part of the key as its name, too."""
    record = {"_id": "x", "_base64": base64.b64encode(png(9)).decode(), "_file": f"/home/{secrets.new('file path')}"}
    headers = {
        "Authorization": f"JWT {secrets.api_key}", "collection-id": "c", "User-Agent": secrets.new("user agent"),
        "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "tracestate": f"shop={secrets.new('tracestate')}",
        "baggage": f"user={secrets.new('baggage')}",
    }  # fmt: skip
    for path, body in (
        ("similarity/photos/v2/insert", {"records": [record]}),
        ("similarity/photos/v2/visualKNN", {"query_record": record, "fields_to_return": ["*", "_file"]}),
        ("similarity/photos/v2/visualRankRecords", {"query_record": record, "records": [record]}),
        ("recognition/v2/classify", {"records": [record], "task_id": "c:note"}),
    ):
        url = f"http://{server.http}/ximilar/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            assert secrets.words["file path"].encode() not in answer.read()


def _searched(server: Server, secrets: Secrets, patience_s: float) -> dict[str, set[str]]:
    with urllib.request.urlopen(f"http://{server.http}/metrics") as page:
        left = {
            "metrics": secrets.found("metrics", page.read()),
            "log": secrets.found("log", server.settled_log().encode()),
        }
    deadline = time.monotonic() + patience_s
    while left.setdefault("server", {"not searched"}) and time.monotonic() < deadline:
        left["server"] = in_memory(secrets, "server", server.process.pid)
    control = Secrets({CONTROL: secrets.words[CONTROL]}, {CONTROL: EVERYWHERE})
    left["seen"] = in_memory(control, "server", server.process.pid)
    left["helpers"], left["redis"] = set(), set()
    for process in psutil.Process(server.process.pid).children(recursive=True):
        place = "redis" if "redis" in process.name() else "helpers"
        left[place] |= in_memory(secrets, place, process.pid)
    return left
