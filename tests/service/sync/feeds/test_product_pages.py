"""Shopify's product pages, distinguished from one another."""

from __future__ import annotations

import io

import pytest

from service.sync.feeds.json.items import products_digest
from service.sync.feeds.model import FeedError


def digest(page: bytes) -> bytes:
    return products_digest(io.BufferedReader(io.BytesIO(page)))


def test_pages_with_the_same_products_are_the_same_whatever_else_they_say() -> None:
    first = digest(b'{"products":[{"id":1,"updated_at":"a"},{"id":2}]}')
    assert first == digest(b'{ "products": [{"id": 1, "updated_at": "b"}, {"id": 2, "x": [1, 2]}], "at": 5}')
    assert first == digest(b'\xef\xbb\xbf[{"id":1},{"id":2}]')
    others = [
        b'[{"id":1}]',
        b'[{"id":2},{"id":1}]',
        b'[{"id":9007199254740993}]',
        b'[{"id":9007199254740992}]',
        b'[{"a":1}]',
    ]
    assert len({first, *map(digest, others)}) == 6


@pytest.mark.parametrize("page", [b'{"products":[]}', b"[]", b'{\n "products": [ ]\n}\n'])
def test_a_page_without_products_is_the_end(page: bytes) -> None:
    assert digest(page) == b""


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b'{"products":[{"id":1},', "FEED_TRUNCATED"), (b'{"products":[{"id":1', "FEED_TRUNCATED"),
        (b'{"errors":"Not found"}', "FEED_NOT_RECOGNISED"), (b"<html></html>", "FEED_NOT_RECOGNISED"),
        (b"", "FEED_NOT_RECOGNISED"), (b'{"products": 5}', "FEED_NOT_RECOGNISED"), (b'"x"', "FEED_NOT_RECOGNISED"),
    ],
)  # fmt: skip
def test_what_is_no_page_is_not_taken_for_the_end(page: bytes, reason: str) -> None:
    with pytest.raises(FeedError) as caught:
        digest(page)
    assert caught.value.reason == reason
