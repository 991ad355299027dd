"""Large responses: a few at a time, tenants in turn, after the searches of other tenants, within reserved bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

from service.calls.limits.bulk_share import BulkShare, Work
from service.calls.limits.call_limiter import current_lease
from service.calls.limits.turns import Turns
from service.runtime.clock import Stopwatch

T = TypeVar("T")
# Clients receive 4 MiB unless they are told otherwise, and a larger page takes the loop for longer.
PAGE_BYTES = 7 << 19
_SLICE_S = 0.001
_PLACES = 3
_RECORD_BYTES = 1024  # of a record without its vector, commonly
SMALL_BYTES = 256 * 1024  # an answer that waits for no searches of others


class LargeResponses:
    """Admits large responses. For one event loop."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: maximum size of one message."""
        self.most_bytes = most_bytes - most_bytes // 32  # what is counted is an estimate
        self.page_bytes = min(PAGE_BYTES, self.most_bytes)
        self._turns, self._share = Turns(_PLACES), BulkShare()

    def searching(self, tenant_uid: str) -> contextlib.AbstractContextManager[None]:
        """Marks a running search of a tenant. Large responses of other tenants wait for it."""
        return self._share.searching(tenant_uid)

    @contextlib.asynccontextmanager
    async def making(
        self, tenant_uid: str, records: int, vector_bytes: int, most_bytes: int = 0
    ) -> AsyncIterator[Work]:
        """Waits for the tenant's turn to read and build a response of `records` records.

        `vector_bytes`: size of the vector of each record, 0 without vectors. `most_bytes`: maximum size of the
        response; 0: that of a message. The caller adds its CPU time to the yielded Work. Raises ServiceError
        (OVERLOADED) before anything is read if the caller's share of bytes is used up.
        """
        estimate = min(records * (_RECORD_BYTES + vector_bytes), most_bytes or self.most_bytes)
        current_lease().reserve(estimate)
        async with contextlib.AsyncExitStack() as stack:
            large = estimate > SMALL_BYTES
            work = await stack.enter_async_context(self._share.paced(tenant_uid)) if large else Work()
            await stack.enter_async_context(self._turns.turn(tenant_uid))
            yield work


async def add_each(items: Iterable[T], add: Callable[[T], object], work: Work) -> None:
    """Calls `add` for each item. Yields to other calls every millisecond."""
    watch = Stopwatch()
    for item in items:
        add(item)
        if (seconds := watch.seconds()) > _SLICE_S:
            work.seconds += seconds
            await asyncio.sleep(0)
            watch.restart()
    work.seconds += watch.seconds()
