"""Synchronisation as the service starts and stops it."""

from __future__ import annotations

from service.sync.keeper import Keeper
from service.sync.model import Run
from service.sync.synchronisation import Synchronisation
from service.sync.worker import SyncParts, SyncWorker


class Sync:
    """For one event loop. `calls`: what tenants can ask for."""

    def __init__(self, parts: SyncParts) -> None:
        self._parts = parts
        self._worker = SyncWorker(parts, self._ended)
        self.calls = Synchronisation(parts, self._worker)
        self._keeper = Keeper(parts, self.calls, self._worker)

    def start(self) -> None:
        """Begins to take runs, where this server may."""
        if self._parts.at_once:
            self._worker.start()
        self._keeper.start()

    async def stop(self) -> None:
        """Lets go of all runs; they go on after the next start."""
        await self._keeper.stop()
        await self._worker.stop()
        await self._parts.fetcher.close()
        self._parts.ledgers.close()

    async def _ended(self, tenant_uid: str, run: Run) -> None:
        """Tells whoever wants to know."""
