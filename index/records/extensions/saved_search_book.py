"""The saved searches of a collection, as those see them who keep and use them."""

from __future__ import annotations

import time

from index.contract import SAVED_SEARCHES
from index.records.extensions.hook import CollectionAccess
from index.types.companions import SavedSearch


class SavedSearchBook:
    """Any number of threads may call any method at once; all raise StoreUnavailable where the disk refuses.

    Errors are those of `index.contract.SavedSearchReads` and `SavedSearchWrites`.
    """

    def __init__(self, access: CollectionAccess) -> None:
        self._access = access

    def get(self, name: str, version: int = 0) -> SavedSearch:
        """A version; 0: the newest."""
        return self._access.read(lambda s: s.companion(SAVED_SEARCHES).one(name, version))

    def page(self, after: str, limit: int) -> list[SavedSearch]:
        """The newest versions of the names above `after`, in order of names."""
        return self._access.read(lambda s: s.companion(SAVED_SEARCHES).page(after, limit))

    def versions(self, name: str) -> list[SavedSearch]:
        """All kept versions, newest first."""
        return self._access.read(lambda s: s.companion(SAVED_SEARCHES).versions(name))

    def create(self, name: str, content: bytes) -> SavedSearch:
        """Keeps a search under a new name."""
        return self._access.write(lambda t: t.companion(SAVED_SEARCHES).create(name, content, _now_ms()))

    def update(self, name: str, content: bytes, etag: str = "") -> SavedSearch:
        """Makes a new version. etag: of the version that is meant; empty: any."""
        return self._access.write(lambda t: t.companion(SAVED_SEARCHES).update(name, content, etag, _now_ms()))

    def delete(self, name: str, etag: str = "") -> int:
        """Deletes a name with all versions. Returns how many."""
        return self._access.write(lambda t: t.companion(SAVED_SEARCHES).delete(name, etag))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
