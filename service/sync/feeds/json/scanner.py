"""Scans a JSON document as a stream: where each value is, and its text, without parsing the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import orjson

from service.sync.feeds.model import MAX_ITEM_CHARS, FeedError

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


class TextScanner:
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


class DocumentWalk:
    """Iterates over the events of documents."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self.text = TextScanner(blocks)
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
