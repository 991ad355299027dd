"""Finds items in JSON documents of any size and layout: a list, lists in objects, or objects by id.

Items are separated by their brackets alone. An item that is invalid JSON, or too long, therefore fails alone, and only
one item is in memory at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from service.sync.feeds.json.scanner import ANY_NAME, DocumentWalk, Path
from service.sync.feeds.model import FeedError
from service.sync.feeds.values.names import FieldNames, is_picture, looks_like_an_item

_PARTS_OF_ITEMS = frozenset(
    {"variants", "options", "images", "media", "offers", "related", "related_products", "reviews"}
)
_ENOUGH = 1 << 16  # characters after which a list of items with pictures is accepted
_FURTHEST = 64 << 20  # maximum number of characters before the first item
_MAX_PATHS = 20_000


class FoundItem(NamedTuple):
    """The text of an item in a document.

    - `number`: from 1.
    - `name`: the name of the item in an object of items.
    - `text`: the JSON text; None if it is too long.
    """

    number: int
    name: str
    text: str | None


class Shape(NamedTuple):
    """The path to the items of a document, and the fields of the first ones."""

    path: Path
    fields: frozenset[str]


def find_items(blocks: Iterator[str], own: frozenset[str] = frozenset()) -> Shape | None:
    """Finds the items: the outermost objects with an id and a picture, else with an id and a title or price.

    Returns None if there are none. Raises FeedError (FEED_EMPTY) if there is only an empty list.
    """
    walk = DocumentWalk(blocks)
    names = FieldNames()
    fields: dict[Path, set[str]] = {}
    empty_list, looked_at = False, _ENOUGH
    try:
        for event in walk.events():
            if event == "name" and len(fields) < _MAX_PATHS:
                fields.setdefault(walk.path(), set()).add(names.field(walk.name))
            empty_list = empty_list or event == "]"
            if walk.text.taken > _FURTHEST:
                break
            if walk.text.taken > looked_at:
                looked_at, found = walk.text.taken, _best(fields, own)
                if found is not None and None in found.path and any(is_picture(f) or f in own for f in found.fields):
                    return found
    except FeedError:
        pass  # raised again when the items are read
    best = _best(fields, own)
    if best is None and empty_list and walk.whole:
        raise FeedError("FEED_EMPTY", "the feed has no items")
    return best


def document_items(blocks: Iterator[str], path: Path) -> Iterator[FoundItem]:
    """The items at a path of one or several consecutive documents. Raises FeedError."""
    walk = DocumentWalk(blocks)
    number = 0
    for event in walk.events(path):
        if event == "item":
            number += 1
            yield FoundItem(number, walk.item_name, walk.item)


def is_open(text: str) -> bool:
    """Whether a text is the beginning of a longer JSON document: it ends inside brackets, but not inside a string."""
    walk = DocumentWalk(iter([text]))
    try:
        for _ in walk.events():
            pass
    except FeedError as error:
        return error.reason == "FEED_TRUNCATED" and not walk.text.in_string
    return False


def _best(fields: dict[Path, set[str]], own: frozenset[str]) -> Shape | None:
    """The best path: objects with pictures first, then several before one, then outer before inner."""
    places = {p: f for p, f in fields.items() if looks_like_an_item(f, own)} | _by_name(fields)
    best: tuple[tuple[bool, bool, int], Shape] | None = None
    for path, found in places.items():
        has_picture = any(is_picture(f) or f in own for f in found)
        of_one_item = any(step in _PARTS_OF_ITEMS for step in path)
        rank = (has_picture, (None in path or path[-1:] == (ANY_NAME,)) and not of_one_item, -len(path))
        if best is None or rank > best[0]:
            best = rank, Shape(path, frozenset(found))
    return None if best is None else best[1]


def _by_name(fields: dict[Path, set[str]]) -> dict[Path, set[str]]:
    """Objects that contain items by id: most of their values are items, apart from the missing id."""
    items: Counter[Path] = Counter()
    all_values: Counter[Path] = Counter()
    merged: dict[Path, set[str]] = {}
    for path, found in fields.items():
        if path and path[-1] is not None:
            all_values[path[:-1]] += 1
            if any(map(is_picture, found)) and {"title", "name", "price"} & found:
                items[path[:-1]] += 1
                merged.setdefault((*path[:-1], ANY_NAME), set()).update(found)
    return {p: f for p, f in merged.items() if items[p[:-1]] > 1 and 2 * items[p[:-1]] > all_values[p[:-1]]}
