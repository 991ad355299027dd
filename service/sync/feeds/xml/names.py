"""Names in XML feeds: which namespace an element is of, and which of two with one name counts.

Google's namespace is known by its address, whatever its prefix, and by its usual prefix where a feed forgot to declare
it.
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
_MOST_KNOWN = 2000
_GOOGLE_PREFIXES = ("g", "c")


class Space(IntEnum):
    """What a namespace is worth: of two elements with one name the smaller one counts."""

    GOOGLE = 0
    PLAIN = 1  # RSS, Atom, or none at all
    OTHER = 2


class XmlNames:
    """Follows the declarations of namespaces down and up the elements."""

    def __init__(self) -> None:
        self._scopes: list[tuple[int, dict[str, str]]] = [(0, {})]
        self.known: dict[str, tuple[Space, str]] = {}  # what `resolve` found in this scope
        self.scope = 0  # depth of the element that declared something last
        self._root_default = ""

    def enter(self, depth: int, attributes: Mapping[str, str]) -> None:
        """An element begins, with these attributes."""
        declared = {n[6:]: u for n, u in attributes.items() if n == "xmlns" or n.startswith("xmlns:")}
        if declared:
            self._scopes.append((depth, {**self._scopes[-1][1], **declared}))
            self.scope = depth
            self.known.clear()
            if depth == 1:
                self._root_default = declared.get("", "")

    def leave(self, depth: int) -> None:
        """The element at this depth ends."""
        if depth and self.scope == depth:
            self._scopes.pop()
            self.scope = self._scopes[-1][0]
            self.known.clear()

    def resolve(self, tag: str) -> tuple[Space, str]:
        """The namespace's worth and the local name, in lower case."""
        found = self.known.get(tag)
        if found is None:
            prefix, _, local = tag.rpartition(":")
            found = (self._space(prefix), local.lower())
            if len(self.known) < _MOST_KNOWN:
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
