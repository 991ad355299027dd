"""Changes that go on after their callers have disconnected."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from index import AfterimageIndexError
from service.errors import Reason, ServiceError, release_frames

_LOG = logging.getLogger(__name__)
_MAX_ABANDONED = 16  # per tenant


class AbandonedChanges:
    """Counts the abandoned changes of each tenant, and logs their failures. For one event loop."""

    def __init__(self) -> None:
        self._running = Counter[str]()

    def check(self, tenant_uid: str) -> None:
        """Raises ServiceError (OVERLOADED) if too many changes of the tenant go on without a caller."""
        if self._running[tenant_uid] >= _MAX_ABANDONED:
            message = "too many changes are running without a waiting caller"
            raise ServiceError(Reason.OVERLOADED, message, retry_delay_s=1.0)

    def watch(self, tenant_uid: str, task: asyncio.Task[object]) -> None:
        """Counts a change, whose caller has disconnected, until it ends."""
        self._running[tenant_uid] += 1

        def ended(task: asyncio.Task[object]) -> None:
            self._running[tenant_uid] -= 1
            if not self._running[tenant_uid]:
                del self._running[tenant_uid]
            error = None if task.cancelled() else task.exception()
            if error is not None:
                if not isinstance(error, ServiceError | AfterimageIndexError):
                    _LOG.error("a change failed after its caller had disconnected", exc_info=error)
                release_frames(error)

        task.add_done_callback(ended)
