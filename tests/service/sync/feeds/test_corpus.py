"""Feeds modelled on public templates and bug reports, with the expected items. See tests/data/feeds/README.md."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.sync.feeds.model import (
    AttributeField,
    FeedError,
    FeedFormat,
    FeedOptions,
    FieldMapping,
    FieldType,
    Item,
    Problem,
)
from service.sync.feeds.preview import preview
from service.sync.feeds.reader import read_feed

CORPUS = Path(__file__).parents[3] / "data" / "feeds"
FOLDERS = sorted(p.name for p in CORPUS.iterdir() if p.is_dir())
FEWEST = 150


def expected_in(folder: str) -> dict[str, dict[str, Any]]:
    """The expected result by the file name of the feed."""
    found: dict[str, dict[str, Any]] = json.loads((CORPUS / folder / "expected.json").read_text())
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_feed_of_the_corpus_means_what_its_shop_meant(folder: str) -> None:
    wrong = []
    expected = expected_in(folder)
    for name, wanted in expected.items():
        found = read(CORPUS / folder / name, wanted.get("options", {}))
        said = difference(wanted, found)
        if said:
            wrong.append(f"{name}: {said}")
    print(f"{folder}: {len(expected) - len(wrong)} of {len(expected)} feeds are read right")
    assert not wrong, "\n".join(wrong)


def test_the_corpus_is_whole() -> None:
    feeds = 0
    for folder in FOLDERS:
        files = {p.name for p in (CORPUS / folder).iterdir()} - {"expected.json"}
        assert files == set(expected_in(folder))
        feeds += len(files)
    print(f"{feeds} feeds")
    assert feeds >= FEWEST


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_preview_of_every_feed_shows_each_field_with_its_meaning_and_samples(folder: str) -> None:
    for name, wanted in expected_in(folder).items():
        if "error" in wanted:
            continue
        content = (CORPUS / folder / name).read_bytes()
        options = options_of(wanted.get("options", {}))
        seen = preview(io.BytesIO(content), len(content), options, 20, wanted.get("options", {}).get("base_url", ""))
        assert len(seen.items) == min(20, len(wanted["items"]))
        roles = {c.role for c in seen.columns}
        assert {"id"} <= roles, name
        assert {"picture"} <= roles or all(i["pictures"] == [] for i in wanted["items"]), name
        for column in seen.columns:
            assert column.samples or not column.count, (name, column)
            assert column.role != "left out" or column.reason, (name, column)
            assert column.role != "attribute" or column.attribute, (name, column)


def read(path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a feed in the form of expected.json."""
    content = path.read_bytes()
    try:
        kind, found = read_feed(io.BytesIO(content), len(content), options_of(options), options.get("base_url", ""))
        everything = list(found)
    except FeedError as error:
        return {"error": error.reason, "message": str(error)}
    items = [told(i) for i in everything if isinstance(i, Item)]
    return {"format": str(kind), "items": items, "problems": [p for p in everything if isinstance(p, Problem)]}


def told(item: Item) -> dict[str, Any]:
    """An item in the form of expected.json."""
    all_of_it = {
        "id": item.item_id, "product_id": item.product_id, "pictures": list(item.pictures),
        "attributes": {n: list(v) if isinstance(v, tuple) else v for n, v in item.attributes.items()},
        "deleted": item.deleted, "left_out": list(item.left_out),
    }  # fmt: skip
    return {n: v for n, v in all_of_it.items() if v or n == "pictures"}


def difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The difference; empty if there is none."""
    if "error" in wanted or "error" in found:
        fits = wanted.get("error") == found.get("error") and wanted.get("message", "") in found.get("message", "")
        return "" if fits else f"{found} instead of {wanted}"
    for name in ("format", "items"):
        if wanted[name] != found[name]:
            return f"{found[name]}\n    instead of {wanted[name]}"
    problems = wanted.get("problems", [])
    fits = [(p.line, True) for p in found["problems"]] == [
        (line, words in p.message) for (line, words), p in zip(problems, found["problems"], strict=False)
    ]
    return "" if fits and len(problems) == len(found["problems"]) else f"{found['problems']} instead of {problems}"


def options_of(given: Mapping[str, Any]) -> FeedOptions:
    """The options in the file beside a feed."""
    attributes = {n: AttributeField(c, FieldType(t)) for n, (c, t) in given.get("attributes", {}).items()}
    mapping = FieldMapping(given.get("record_id", ""), "", tuple(given.get("pictures", ())), attributes)
    kind = FeedFormat(given["format"]) if "format" in given else None
    return FeedOptions(kind, given.get("encoding", ""), given.get("delimiter", ""), mapping)
