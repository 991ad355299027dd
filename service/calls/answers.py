"""Answers that may be large: made a few at a time, tenants in turn, and their bytes held before they are made."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

from service.calls.door import current_lease
from service.calls.turns import Turns
from service.runtime.concurrency import TimeSlice

T = TypeVar("T")
# Clients receive 4 MiB unless they are told otherwise, and a larger page takes the loop for longer.
PAGE_BYTES = 7 << 19
_PLACES = 3
_RECORD_BYTES = 1024  # of a record without its vector, commonly


class LargeAnswers:
    """For one event loop."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: of one message."""
        self.most_bytes = most_bytes - most_bytes // 32  # what is counted is an estimate
        self.page_bytes = min(PAGE_BYTES, self.most_bytes)
        self._turns = Turns(_PLACES)

    @contextlib.asynccontextmanager
    async def making(
        self, tenant_uid: str, records: int, vector_bytes: int, most_bytes: int = 0
    ) -> AsyncIterator[None]:
        """Waits until it is the tenant's turn to have an answer of so many records read and made. Raises ServiceError
        (OVERLOADED) where its share of bytes is used up, before anything is read."""
        estimate = min(records * (_RECORD_BYTES + vector_bytes), most_bytes or self.most_bytes)
        current_lease().reserve(estimate)
        async with self._turns.turn(tenant_uid):
            yield


async def add_each(items: Iterable[T], add: Callable[[T], object]) -> None:
    """Adds each item to an answer; other calls go on in between."""
    time_slice = TimeSlice()
    for item in items:
        add(item)
        await time_slice.yield_if_over()
