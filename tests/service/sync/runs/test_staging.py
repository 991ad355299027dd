"""The staging database of a feed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.sync.feeds.model import FeedError, Item, Problem
from service.sync.runs.staging import Staging, remove
from service.sync.source_model import SourceState

KEY = bytes(32)


def digest(url: str) -> bytes:
    return hashlib.sha256(url.encode()).digest()


def item(number: int, *pictures: str, **attributes: object) -> Item:
    return Item(number, str(number), f"p{number}", pictures or (f"https://s.example/{number}.jpg",), attributes)  # type: ignore[arg-type]


def test_records_come_in_order_of_ids_and_additional_pictures_are_records_of_their_own(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "1.db", KEY)
    told = staging.fill([item(2), item(10, "a", "b"), item(1)], SourceState(feed_digest="f"), digest, lambda _: None)
    assert [(r.record_id, r.url, r.product_id) for r in staging.records()] == [
        ("1", "https://s.example/1.jpg", "p1"), ("10", "a", "p10"), ("10#2", "b", "p10"),
        ("2", "https://s.example/2.jpg", "p2"),
    ]  # fmt: skip
    assert (told.after.items, told.problems, told.duplicates) == (3, 0, 0)
    staging.close()


def test_of_an_item_that_is_said_twice_the_last_counts(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "1.db", KEY)
    said: list[Item | Problem] = [item(1, color="red"), item(2), item(1, color="blue"), Problem(9, "no picture", "9")]
    told = staging.fill(said, SourceState(), digest, lambda _: None)
    assert (told.after.items, told.duplicates, told.problems) == (3, 1, 1)
    assert [r.attributes for r in staging.records()] == ['{"color":"blue"}', "{}"]
    assert [(p.record_id, p.line) for p in told.problem_lines] == [("9", 9)]
    staging.close()


def test_a_feed_that_was_read_to_its_end_is_there_after_a_restart_and_another_is_not(tmp_path: Path) -> None:
    path = tmp_path / "1.db"
    staging = Staging(path, KEY)

    def broken() -> Iterator[Item]:
        yield item(1)
        raise FeedError("FEED_TRUNCATED", "cut")

    with pytest.raises(FeedError):
        staging.fill(broken(), SourceState(), digest, lambda _: None)
    staging.close()
    again = Staging(path, KEY)
    assert again.summary() is None
    told = again.fill([item(5)], SourceState(feed_digest="f", etag='"1"'), digest, lambda _: None)
    again.close()
    last = Staging(path, KEY)
    assert last.summary() == told
    assert [r.record_id for r in last.records()] == ["5"]
    last.close()
    remove(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_damaged_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "1.db"
    path.write_bytes(b"half a database" * 1000)
    staging = Staging(path, KEY)
    assert staging.summary() is None
    staging.fill([item(1)], SourceState(), digest, lambda _: None)
    staging.close()


def test_equal_content_has_equal_digests_and_other_content_has_not(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "1.db", KEY)
    staging.fill([item(1, color="red"), item(2, color="red")], SourceState(), digest, lambda _: None)
    one, two = staging.records()
    assert one.item_digest != two.item_digest  # another product
    assert one.url_digest == digest(one.url)
    staging.close()
