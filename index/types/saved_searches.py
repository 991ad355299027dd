"""Searches that are kept under a name, in versions. A search is bytes here: their owner gives them meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass

from index.types.errors import InvalidInput

MAX_SAVED_SEARCHES = 500  # of a collection
MAX_SAVED_VERSIONS = 50  # of one name; older ones are dropped
MAX_SAVED_BYTES = 65_536  # of one version
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class SavedSearch:
    """One version of a saved search.

    - `version`: counts from 1; the number of a deleted name is not given again.
    - `etag`: random, of this version.
    - `created_ms`, `saved_ms`: when the name, and when this version was made, in milliseconds since 1970.
    """

    name: str
    version: int
    etag: str
    created_ms: int
    saved_ms: int
    content: bytes


def check_saved_search(name: str, content: bytes) -> None:
    """Raises InvalidInput for a name or a content that cannot be kept."""
    if not _NAME.fullmatch(name):
        raise InvalidInput("name", f"the name {name[:80]!r} does not match {_NAME.pattern}")
    if len(content) > MAX_SAVED_BYTES:
        raise InvalidInput("search", f"the search takes {len(content)} bytes, more than {MAX_SAVED_BYTES}")
