"""What is kept beside a record: where its picture came from, what is kept of it, and which source it follows; and
searches that are kept under a name. What a search says is bytes here: their owner gives them meaning.

The records themselves are in `record`. What the store does with these values is in `index.records.extensions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from index.types.errors import InvalidInput

MAX_SAVED_SEARCHES = 500  # of a collection
MAX_SAVED_VERSIONS = 50  # of one name; older ones are dropped
MAX_SAVED_BYTES = 65_536  # of one version
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class PicturePolicy(StrEnum):
    """What is kept of a picture once it is encoded: nothing, the URL that it came from, or an encrypted copy in object
    storage."""

    DISCARD = "DISCARD"
    REFERENCE = "REFERENCE"
    ENCRYPTED_COPY = "ENCRYPTED_COPY"

    @property
    def keeps_copies(self) -> bool:
        """Whether an encrypted copy is kept."""
        return self is PicturePolicy.ENCRYPTED_COPY

    @property
    def keeps_urls(self) -> bool:
        """Whether the URL is kept."""
        return self is PicturePolicy.REFERENCE

    @property
    def keeps_anything(self) -> bool:
        """Whether anything is kept."""
        return self.keeps_copies or self.keeps_urls


@dataclass(frozen=True)
class KeptPicture:
    """What is kept of a record's picture, as its collection's policy says: the name of the encrypted copy in object
    storage and its size, or the URL."""

    object_id: str = ""
    bytes: int = 0
    url: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a record's picture was fetched from, as far as it is kept: a keyed digest of the URL, and what the host
    said of the version (ETag and Last-Modified), for asking next time whether it has changed."""

    url_digest: bytes
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True)
class SourceMark:
    """Which source a record follows, and a digest of what the source's feed says of it besides the picture: equal
    digests mean that nothing is to be done."""

    source: str
    item_digest: bytes


@dataclass(frozen=True)
class Dropped:
    """What a change of policy drops. copies: how many. bytes: their size. urls: how many."""

    copies: int = 0
    bytes: int = 0
    urls: int = 0


@dataclass(frozen=True)
class Copies:
    """Names of the copies in one home. held: those that belong to records. loose: those that belong to none."""

    held: frozenset[str] = frozenset()
    loose: frozenset[str] = frozenset()


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
