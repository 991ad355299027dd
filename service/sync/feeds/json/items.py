"""JSON feeds: JSON lines, or documents with items at any path, such as Shopify's products.json."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from service.sync.feeds.encodings import encoding_of
from service.sync.feeds.json.documents import document_items, find_items, is_open
from service.sync.feeds.json.scanner import Path
from service.sync.feeds.json.values import NotAnObject, fields_of, parse_object
from service.sync.feeds.model import MAX_ITEM_CHARS, FeedError, FeedFormat, Problem, Row
from service.sync.feeds.text import TextLines, text_blocks
from service.sync.feeds.values.links import links_in
from service.sync.feeds.values.names import FieldNames, is_picture, looks_like_an_item

_HEAD = 1 << 16
_ID = re.compile(r'"id"\s*:\s*([^,}\s]+)')
_SHOPIFY = frozenset({"variants", "vendor", "handle", "body (html)", "body_html", "images"})
_FIRST_LINE = re.compile(r"[^\r\n]*[\r\n]")


def json_format(text: str, own: frozenset[str]) -> FeedFormat:
    """The kind of JSON of a feed that begins with this text."""
    first = _FIRST_LINE.match(text)
    try:
        line = orjson.loads(first[0] if first else text)
    except orjson.JSONDecodeError:
        line = None
        if first and not text.startswith("[") and not is_open(first[0]):
            return FeedFormat.JSONL  # with a damaged first line
    if isinstance(line, dict):
        names = FieldNames()
        fields = {names.field(n) for n in line}
        if looks_like_an_item(fields, own) and any(is_picture(f) or f in own for f in fields):
            return FeedFormat.JSONL
    try:
        found = find_items(iter([text]), own)
    except FeedError:
        return FeedFormat.JSON
    if found is None:
        return FeedFormat.JSONL if isinstance(line, dict) and not _is_page(line) else FeedFormat.JSON
    if found.path == () and not text.startswith("[") and (isinstance(line, dict) or first is None):
        return FeedFormat.JSONL
    is_shopify = found.path == ("products", None) and found.fields & _SHOPIFY
    return FeedFormat.SHOPIFY_JSON if is_shopify else FeedFormat.JSON


def jsonl_rows(lines: TextLines, names: FieldNames) -> Iterator[Row | Problem]:
    """The objects of a feed. Raises FeedError; FEED_TRUNCATED if the last line is incomplete."""
    for line in lines:
        if line.too_long:
            yield Problem(line.number, f"the line is longer than {MAX_ITEM_CHARS} characters")
            continue
        if not line.text.strip():
            continue
        try:
            yield Row(line.number, fields_of(_object_of(line.text, names), names))
        except NotAnObject as error:
            if not lines.ended:
                raise FeedError("FEED_TRUNCATED", f"the feed ends within line {line.number}") from None
            yield Problem(line.number, f"the line {error}")


def _object_of(line: str, names: FieldNames) -> dict[str, Any]:
    """Parses a line. Raises NotAnObject."""
    try:
        return parse_object(line, names)
    except NotAnObject:
        without = line.strip().removesuffix(",")  # a list without its brackets
        if not without.endswith("}") or len(without) == len(line.strip()):
            raise
        return parse_object(without, names)


def document_rows(blocks: Iterator[str], path: Path, names: FieldNames, *, shopify: bool) -> Iterator[Row | Problem]:
    """The items at a path of one or several documents. `line` is the number of the item. Raises FeedError."""
    for number, name, text in document_items(blocks, path):
        if text is None:
            yield Problem(number, f"the item is longer than {MAX_ITEM_CHARS} characters", name)
            continue
        try:
            found = parse_object(text, names)
        except NotAnObject as error:
            yield Problem(number, f"the item {error}", name)
            continue
        fields = _product_fields(found) if shopify and _is_product(found) else fields_of(found, names)
        if name and path[-1:] != (name,):
            fields.setdefault("id", name)
        yield Row(number, fields)


def products_digest(page: io.BufferedReader) -> bytes:
    """A digest of the product ids on a page of Shopify's products.json; empty if there are no products.

    Raises FeedError: FEED_TRUNCATED if the page is incomplete, FEED_NOT_RECOGNISED if it has no list of products.
    """
    head, digest, count = page.peek(_HEAD)[:_HEAD], hashlib.blake2b(digest_size=16), 0
    path: Path = (None,) if head.lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"[") else ("products", None)
    for item in document_items(text_blocks(page, encoding_of(head)), path):
        digest.update(_id_of(item.text or "").encode("utf-8", "replace") + b"\n")
        count += 1
    if count:
        return digest.digest()
    try:
        found = orjson.loads(head)
    except orjson.JSONDecodeError:
        found = None
    if found == [] or (isinstance(found, dict) and found.get("products") == []):
        return b""
    raise FeedError("FEED_NOT_RECOGNISED", "this JSON has no list of products")


def _id_of(product: str) -> str:
    """The id of a product as written; the whole product if it has none."""
    found = _ID.search(product)
    return found[1] if found else product


def _is_page(line: Mapping[str, Any]) -> bool:
    return any(n in line for n in ("products", "items", "data"))


def _is_product(found: Mapping[str, Any]) -> bool:
    images = found.get("images")
    has_sources = isinstance(images, list) and any(isinstance(i, dict) and "src" in i for i in images)
    return has_sources or isinstance(found.get("variants"), list)


def _product_fields(product: Mapping[str, Any]) -> dict[str, object]:
    images = [link for image in product.get("images") or () for link in links_in(image)[:1]]
    if not images and isinstance(product.get("image"), dict):
        images = links_in(product["image"])[:1]
    variants = [v for v in product.get("variants") or () if isinstance(v, dict)]
    tags = product.get("tags") or ()
    fields = {
        "id": product.get("id"), "image_link": images,
        "title": product.get("title"), "brand": product.get("vendor"), "product_type": product.get("product_type"),
        "tags": [str(t).strip() for t in (tags.split(",") if isinstance(tags, str) else tags)],
        "price": variants[0].get("price") if variants else None, "handle": product.get("handle"),
    }  # fmt: skip
    return {n: v for n, v in fields.items() if v}
