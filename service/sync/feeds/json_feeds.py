"""Feeds in JSON: a line for each item, or Shopify's products.json."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from service.sync.feeds.model import FeedError, Problem, Row
from service.sync.feeds.text import TextLines, encoding_of

MAX_DOCUMENT_BYTES = 64 << 20


def jsonl_rows(stream: io.BufferedReader, *, encoding: str = "") -> Iterator[Row | Problem]:
    """The objects of a feed. Raises FeedError; FEED_TRUNCATED where the last line is cut short."""
    lines = TextLines(stream, encoding_of(stream.peek(1 << 20), encoding))
    for line in lines:
        if not line.strip():
            continue
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if not lines.ended:
                raise FeedError("FEED_TRUNCATED", f"the feed ends within line {lines.number}") from None
            yield Problem(lines.number, f"the line is no JSON: {error}")
            continue
        if isinstance(found, dict):
            yield Row(lines.number, {str(n).lower(): v for n, v in found.items()})
        else:
            yield Problem(lines.number, "the line is no JSON object")


def shopify_rows(stream: io.BufferedReader) -> Iterator[Row]:
    """The products of /products.json, or of several such documents with a line for each; `line` counts products. Raises
    FeedError."""
    number = 0
    for content in _documents(stream):
        for product in products_of(content):
            number += 1
            yield Row(number, _product_fields(product))


def _documents(stream: io.BufferedReader) -> Iterator[bytes]:
    first = stream.readline(MAX_DOCUMENT_BYTES)
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError:  # one document over many lines
        content = first + stream.read(MAX_DOCUMENT_BYTES + 1)
        if len(content) > MAX_DOCUMENT_BYTES:
            message = "products.json has more than 64 MiB; give the shop's URL without a page, or JSON lines"
            raise FeedError("FEED_TOO_LARGE", message) from None
        yield content
        return
    yield first
    while line := stream.readline(MAX_DOCUMENT_BYTES):
        if line.strip():
            yield line


def products_of(content: bytes) -> list[Mapping[str, Any]]:
    """The products of one page. Raises FeedError."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise FeedError("FEED_TRUNCATED", f"products.json does not parse: {error}") from None
    products = found.get("products") if isinstance(found, dict) else found
    if not isinstance(products, list) or not all(isinstance(p, dict) for p in products):
        raise FeedError("FEED_NOT_RECOGNISED", "there is no list of products in this JSON")
    return products


def _product_fields(product: Mapping[str, Any]) -> dict[str, object]:
    images = [i.get("src") for i in product.get("images") or () if isinstance(i, dict)]
    variants = [v for v in product.get("variants") or () if isinstance(v, dict)]
    tags = product.get("tags") or ()
    fields = {
        "id": str(product.get("id") or ""), "image_link": [i for i in images if isinstance(i, str)],
        "title": product.get("title"), "brand": product.get("vendor"), "product_type": product.get("product_type"),
        "tags": [t.strip() for t in (tags.split(",") if isinstance(tags, str) else tags)],
        "price": variants[0].get("price") if variants else None, "handle": product.get("handle"),
    }  # fmt: skip
    return {n: v for n, v in fields.items() if v}
