"""Finds items in JSON documents of any size and layout: a list, lists in objects, or objects by id.

Items are separated by their brackets alone. An item that is invalid JSON, or too long, therefore fails alone, and only
one item is in memory at a time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import orjson

from service.sync.feeds.model import MAX_ITEM_CHARS, FeedError
from service.sync.feeds.values.names import FieldNames, is_picture, looks_like_an_item

Step = str | None  # a name, or None for any member of a list
Path = tuple[Step, ...]
ANY_NAME = "\0any"  # a step to any value of an object
_BLANKS = re.compile(r"[\s,:]*+")
_ATOM = re.compile(r'[^\s"{}\[\],:]++')
_IN_STRING = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_FLAT = r'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+'
# Matches up to the next bracket, skipping lists and objects without nested ones.
_TO_BRACKET = re.compile(rf"(?:{_FLAT}(?:\[{_FLAT}\]|{{{_FLAT}}}))*+{_FLAT}[{{}}\[\]]", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_WHOLE_STRINGS = re.compile(rf'(?:[^"]++|{_STRING.pattern})*+', re.DOTALL)
_WORTH_IT = 4096  # characters
_STEPS = np.zeros(256, dtype=np.int8)  # by character code, the change of the nesting depth
_STEPS[[ord("{"), ord("[")]] = 1
_STEPS[[ord("}"), ord("]")]] = -1
_LONGEST_NAME = 256
_MAX_DEPTH = 64
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
    walk = _Walk(blocks)
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
    walk = _Walk(blocks)
    number = 0
    for event in walk.events(path):
        if event == "item":
            number += 1
            yield FoundItem(number, walk.item_name, walk.item)


def is_open(text: str) -> bool:
    """Whether a text is the beginning of a longer JSON document: it ends inside brackets, but not inside a string."""
    walk = _Walk(iter([text]))
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


class _Text:
    """Text that was read but not yet used."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self._blocks = blocks
        self.buffer, self.at, self.taken = "", 0, 0
        self.in_string = False

    def more(self, keep: int) -> bool:
        """Reads more text. Discards what is before `keep`."""
        parts = [self.buffer[keep:]]
        wanted = max(1, len(parts[0]))  # doubled each time, so that little text is scanned twice
        while wanted > 0 and (block := next(self._blocks, "")):
            parts.append(block)
            wanted -= len(block)
        self.buffer = "".join(parts)
        self.taken += len(self.buffer) - len(parts[0])
        self.at -= keep
        return len(parts) > 1

    def next(self) -> str:
        """The next character other than blank, comma and colon; empty at the end."""
        while True:
            self.at = _BLANKS.match(self.buffer, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self.more(self.at):
                return ""

    def string(self) -> str:
        """The string that begins here, truncated to the maximum length of a name. Raises FeedError."""
        self.at += 1
        kept = ""
        self.in_string = True
        while True:
            end = _IN_STRING.match(self.buffer, self.at).end()  # type: ignore[union-attr]
            kept = (kept + self.buffer[self.at : min(end, self.at + _LONGEST_NAME)])[:_LONGEST_NAME]
            if end < len(self.buffer) and self.buffer[end] == '"':
                self.at, self.in_string = end + 1, False
                return kept
            self.at = end
            if not self.more(end):
                raise FeedError("FEED_TRUNCATED", "the feed ends within a string")

    def atom(self) -> None:
        """Skips a number or a word."""
        while True:
            found = _ATOM.match(self.buffer, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.buffer) or not self.more(self.at):
                return

    def object(self) -> str | None:
        """The object that begins here; None if it is too long. Raises FeedError."""
        brackets, at = "{", self.at + 1
        while True:
            found = _TO_BRACKET.match(self.buffer, at)
            if found is not None:
                at = found.end()
                brackets = _after(brackets, self.buffer[at - 1])
                if not brackets:
                    text, self.at = self.buffer[self.at : at], at
                    return text if len(text) <= MAX_ITEM_CHARS else None
            elif len(self.buffer) - self.at > MAX_ITEM_CHARS:
                self.at = at
                self._skip(brackets)
                return None
            else:
                start = self.at
                if not self.more(start):
                    raise FeedError("FEED_TRUNCATED", "the feed ends within an item")
                at -= start
            if len(brackets) > _MAX_DEPTH:
                self.at = at
                self._skip(brackets)
                return None

    def skip_container(self) -> None:
        """Skips a list or object. Raises FeedError."""
        self.at += 1
        self._skip(self.buffer[self.at - 1])

    def _skip(self, brackets: str) -> None:
        """Skips to the end of the open brackets. Raises FeedError."""
        depth = len(brackets)
        while (depth := self._skip_block(depth)) > 0:
            char = self.next()
            if not char:
                raise FeedError("FEED_TRUNCATED", "the feed ends within an item")
            if char == '"':
                self.string()
            elif char in "{}[]":
                depth += 1 if char in "{[" else -1
                self.at += 1
            else:
                self.atom()

    def _skip_block(self, depth: int) -> int:
        """Skips the buffered part of the open brackets. Returns the depth after it."""
        end = _WHOLE_STRINGS.match(self.buffer, self.at).end()  # type: ignore[union-attr]
        if end - self.at < _WORTH_IT:
            return depth
        plain = _STRING.sub(lambda found: " " * len(found[0]), self.buffer[self.at : end])
        codes = np.frombuffer(plain.encode("latin-1", "replace"), dtype=np.uint8)  # a byte for each character
        depths = depth + np.cumsum(_STEPS[codes], dtype=np.int32)
        ends = np.flatnonzero(depths <= 0)
        self.at += int(ends[0]) + 1 if len(ends) else len(codes)
        return 0 if len(ends) else int(depths[-1])


class _Walk:
    """Iterates over the events of documents."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self.text = _Text(blocks)
        self.name = self.item_name = ""
        self.item: str | None = None
        self.whole = False
        self._steps: list[Step] = []  # path of open containers to the current value
        self._kinds: list[str] = []

    def path(self) -> Path:
        """The path of the object whose name was just read."""
        return tuple(self._steps[:-1])

    def events(self, items_at: Path | None = None) -> Iterator[str]:
        """Yields `name` (before a value in an object), `item`, and `]` at the end of an empty list.

        Raises FeedError.
        """
        expects_name = False
        text, opened = self.text, False
        while char := text.next():
            if char == '"':
                found = text.string()
                if expects_name and self._kinds and self._kinds[-1] == "{":
                    self.name = self._steps[-1] = _unescaped(found)
                    yield "name"
                    expects_name, opened = False, False
                    continue
            elif char == "{" and items_at is not None and self._is_at(items_at):
                self.item, self.item_name = text.object(), self._steps[-1] or "" if self._steps else ""
                yield "item"
            elif char in "{[" and items_at is not None and not self._leads_to(items_at):
                text.skip_container()
            elif char in "{[":
                self._open(char)
                text.at += 1
                expects_name, opened = char == "{", True
                continue
            elif char in "}]":
                text.at += 1
                self._close(char)
                if opened and char == "]":
                    yield "]"
            else:
                before = text.at
                text.atom()
                if text.at == before:
                    text.at += 1
            opened = False
            expects_name = bool(self._kinds) and self._kinds[-1] == "{"
        if self._kinds:
            raise FeedError("FEED_TRUNCATED", "the feed ends within the document")
        self.whole = True

    def _leads_to(self, path: Path) -> bool:
        return len(self._steps) < len(path) and all(
            p == s or (p == ANY_NAME and s is not None) for p, s in zip(path, self._steps, strict=False)
        )

    def _is_at(self, path: Path) -> bool:
        return len(self._steps) == len(path) and all(
            p == s or (p == ANY_NAME and s is not None) for p, s in zip(path, self._steps, strict=True)
        )

    def _open(self, char: str) -> None:
        if len(self._kinds) >= _MAX_DEPTH:
            raise FeedError("FEED_DAMAGED", "the document is nested too deeply")
        self._kinds.append(char)
        self._steps.append(None if char == "[" else "")

    def _close(self, char: str) -> None:
        if not self._kinds or (self._kinds.pop() == "{") != (char == "}"):
            raise FeedError("FEED_DAMAGED", "the document's brackets do not match")
        self._steps.pop()


def _after(brackets: str, char: str) -> str:
    """The open brackets after one more. A bracket missing inside an item ends with the item."""
    if char in "{[":
        return brackets + char
    opening = brackets.rfind("{" if char == "}" else "[")
    return brackets[:opening] if opening >= 0 else brackets


def _unescaped(name: str) -> str:
    if "\\" not in name:
        return name
    try:
        return str(orjson.loads(f'"{name}"'))
    except orjson.JSONDecodeError:
        return name
