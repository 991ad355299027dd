"""What is kept of a collection's pictures, as those see it who put, hand out and delete the copies."""

from __future__ import annotations

import time
from collections.abc import Sequence

from index.contract import PICTURES
from index.records.extensions.hook import CollectionAccess
from index.types.companions import Dropped, KeptPicture

UPLOAD_S = 3600.0  # a copy that no record has got within this is given up


class PictureBook:
    """Any number of threads may call any method at once; all raise StoreUnavailable where the disk refuses."""

    def __init__(self, access: CollectionAccess) -> None:
        self._access = access

    @property
    def home(self) -> str:
        """Where the copies lie in object storage. A collection that is restored in place inherits it."""
        return self._access.home

    def announce(self, object_id: str) -> None:
        """To be called before a copy is put: until a record gets it, it is nobody's, and deleted after an hour."""
        self._access.write(lambda t: t.companion(PICTURES).announce(object_id, _now_ms()))

    def of(self, record_ids: Sequence[str]) -> dict[str, KeptPicture]:
        """What is kept of records' pictures, by id. Records of which nothing is kept are left out."""
        return self._access.read(lambda s: s.companion(PICTURES).kept(record_ids))

    def holds(self, object_id: str) -> bool:
        """Whether a copy belongs to a record now."""
        return self._access.read(lambda s: s.companion(PICTURES).holds(object_id))

    def counts(self) -> Dropped:
        """What is kept now. Leaves a cold collection cold."""
        return self._access.peek(lambda s: s.companion(PICTURES).counts())

    def loose(self, limit: int = 1000) -> list[str]:
        """Copies that are nobody's and can be deleted. Leaves a cold collection cold."""
        before_ms = _now_ms() - int(UPLOAD_S * 1000)
        return self._access.peek(lambda s: s.companion(PICTURES).loose(before_ms, limit))

    def forget_loose(self, object_ids: Sequence[str]) -> None:
        """Drops the note of copies that were deleted."""
        self._access.write(lambda t: t.companion(PICTURES).forget_loose(object_ids))

    def apply_policy(self) -> Dropped:
        """Stores no more than the collection's policy allows from now on, and drops the rest, in backups too. Returns
        what was dropped from the collection. Raises OSError."""
        policy = self._access.spec.picture_policy
        dropped = self._access.write(lambda t: t.companion(PICTURES).apply_policy(policy))
        self._access.narrow_backups()
        if dropped != Dropped():
            self._access.empty_log()
        return dropped


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
