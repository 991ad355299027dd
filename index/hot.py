"""Which collections are in memory: those used last, within a budget of bytes. A cold one costs an object and its files.

The first use of a cold collection loads it, once, however many callers wait for it. Whoever uses a collection holds on
to it; what nobody uses and was used longest ago is closed when the budget is exceeded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from index.building import Builders
from index.errors import AfterimageIndexError, StoreUnavailable
from index.loaded import LoadedCollection
from index.place import Place
from index.sqlite import Connection
from index.transaction import Transaction

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
UNLIMITED_BYTES = 1 << 62


class Hot:
    """One collection, hot or cold: `with hot as loaded:` loads it where it must be, and holds it until the end.

    Raises StoreUnavailable once it is closed, and what LoadedCollection raises.
    """

    def __init__(self, place: Place, shelf: HotCollections) -> None:
        self.place, self._shelf = place, shelf
        self.lock = threading.Lock()  # held while it is loaded or closed
        self.loaded: LoadedCollection | None = None
        self.users = 0
        self.used_at = 0.0
        self._closed = False

    def __enter__(self) -> LoadedCollection:
        fresh = False
        with self.lock:
            if self._closed:
                raise StoreUnavailable("the collection is closed")
            if self.loaded is None:
                self.loaded, fresh = LoadedCollection(self.place, self._shelf.builders), True
            self.users += 1
            self.used_at = time.monotonic()
            loaded = self.loaded
        if fresh:
            self._shelf.entered(self, loaded.memory_bytes)
        return loaded

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.lock:
            self.users -= 1

    def read(self, body: Callable[[Connection], T]) -> T:
        """What a look into the database gives."""
        with self as loaded, loaded.readers.connection() as connection:
            return body(connection)

    def peek(self, body: Callable[[Connection], T]) -> T:
        """As `read`, but a cold collection stays cold."""
        if self.loaded is not None:
            return self.read(body)
        with self.place.opened() as connection:
            return body(connection)

    def write(self, body: Callable[[Transaction], T]) -> T:
        """What a change of the database gives, once it is on disk."""
        with self as loaded:
            return loaded.commit.run(body)

    def weigh(self) -> None:
        """Notes how much memory it takes by now."""
        loaded = self.loaded
        if loaded is not None:
            self._shelf.grown(self, loaded.memory_bytes)

    def close(self, *, snapshot: bool) -> None:
        """Closes it for good."""
        self._shelf.left(self)
        with self.lock:
            self._closed = True
            loaded, self.loaded = self.loaded, None
            if loaded is not None:
                loaded.close() if snapshot else loaded.abandon()

    def cool(self) -> bool:
        """Closes it until it is next used; False where it is in use."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if self.users or self.loaded is None:
                return False
            self.loaded.close(soon_again=True)
            self.loaded = None
            self._shelf.left(self)
            return True
        except (OSError, AfterimageIndexError) as error:
            _LOG.warning("a collection that nobody uses could not be closed: %s", error)
            return False
        finally:
            self.lock.release()


class HotCollections:
    """Those of one process. Any number of threads may call any method at once."""

    def __init__(self, budget_bytes: int = UNLIMITED_BYTES, builders: Builders | None = None) -> None:
        self.budget_bytes = budget_bytes
        self.builders = builders or Builders()
        self._bytes: dict[Hot, int] = {}
        self._lock = threading.Lock()
        self.loads = 0

    def entered(self, hot: Hot, size: int) -> None:
        """Notes that a collection was loaded, and makes room for it."""
        with self._lock:
            self._bytes[hot] = size
            self.loads += 1
            over = sum(self._bytes.values()) > self.budget_bytes
        if over:
            self.make_room()

    def left(self, hot: Hot) -> None:
        """Notes that a collection is not in memory any more."""
        with self._lock:
            self._bytes.pop(hot, None)

    def grown(self, hot: Hot, size: int) -> None:
        """Notes how much a collection takes by now."""
        with self._lock:
            if hot in self._bytes:
                self._bytes[hot] = size

    def make_room(self) -> int:
        """Closes what was used longest ago until the budget is kept or all is in use; returns how many."""
        with self._lock:
            sizes = dict(self._bytes)
        over, closed = sum(sizes.values()) - self.budget_bytes, 0
        for hot in sorted(sizes, key=lambda h: h.used_at):
            if over <= 0:
                break
            if hot.cool():
                over -= sizes[hot]
                closed += 1
        return closed

    def bytes(self) -> int:
        """About how much memory the hot collections take."""
        with self._lock:
            return sum(self._bytes.values())

    def count(self) -> int:
        """How many are hot."""
        with self._lock:
            return len(self._bytes)

    def close(self) -> None:
        """Ends what is being built for any of them."""
        self.builders.close()
