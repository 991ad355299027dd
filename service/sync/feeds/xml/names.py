"""Namespaces in XML feeds: which namespace an element belongs to, and which of two equal names is used.

Google's namespace is recognised by its URL with any prefix, and by its usual prefix if the feed does not declare it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum

_GOOGLE = re.compile(r"https?://base\.google\.com/c?ns/1\.0/?", re.IGNORECASE)
_PLAIN = re.compile(
    r"https?://(www\.w3\.org/2005/Atom|purl\.org/rss/1\.0|purl\.org/atom/ns#|backend\.userland\.com/rss2?|"
    r"blogs\.law\.harvard\.edu/tech/rss)/?",
    re.IGNORECASE,
)
_MAX_KNOWN = 2000
_GOOGLE_PREFIXES = ("g", "c")


class Space(IntEnum):
    """The priority of a namespace. Of two elements with one name, the smaller one is used."""

    GOOGLE = 0
    PLAIN = 1  # RSS, Atom, or no namespace
    OTHER = 2


class XmlNames:
    """Tracks namespace declarations along the open elements."""

    def __init__(self) -> None:
        self._scopes: list[tuple[int, dict[str, str]]] = [(0, {})]
        self.known: dict[str, tuple[Space, str]] = {}  # what `resolve` found in this scope
        self.scope = 0  # depth of the element that declared something last
        self._root_default = ""

    def enter(self, depth: int, attributes: Mapping[str, str]) -> None:
        """Processes the declarations of an element that starts."""
        declared = {n[6:]: u for n, u in attributes.items() if n == "xmlns" or n.startswith("xmlns:")}
        if declared:
            self._scopes.append((depth, {**self._scopes[-1][1], **declared}))
            self.scope = depth
            self.known.clear()
            if depth == 1:
                self._root_default = declared.get("", "")

    def leave(self, depth: int) -> None:
        """Removes the declarations of an element that ends."""
        if depth and self.scope == depth:
            self._scopes.pop()
            self.scope = self._scopes[-1][0]
            self.known.clear()

    def resolve(self, tag: str) -> tuple[Space, str]:
        """The priority of the namespace, and the local name in lower case."""
        found = self.known.get(tag)
        if found is None:
            prefix, _, local = tag.rpartition(":")
            found = (self._space(prefix), local.lower())
            if len(self.known) < _MAX_KNOWN:
                self.known[tag] = found
        return found

    def _space(self, prefix: str) -> Space:
        address = self._scopes[-1][1].get(prefix)
        if address is None:
            return Space.PLAIN if not prefix else Space.GOOGLE if prefix.lower() in _GOOGLE_PREFIXES else Space.OTHER
        address = address.strip()
        if _GOOGLE.fullmatch(address):
            return Space.GOOGLE
        if not address or _PLAIN.fullmatch(address) or (not prefix and address == self._root_default):
            return Space.PLAIN
        return Space.OTHER
