"""Access of the calls of tenants to ledgers, threads and the run board."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from service.coordination.run_board import BoardAway
from service.engine.faults import translated_errors
from service.runtime.clock import now_ms
from service.sync.ledger import Ledger
from service.sync.runs.lease import SyncParts
from service.sync.schedule import next_due_ms
from service.sync.source_model import Source

P = ParamSpec("P")
T = TypeVar("T")


class SyncAccess:
    """For one event loop. All methods raise ServiceError."""

    def __init__(self, parts: SyncParts) -> None:
        self._parts, self._engine, self._workers = parts, parts.engine, parts.engine.workers
        self._board, self._clock = parts.board, parts.clock

    async def schedule(self, tenant_uid: str, source: Source) -> None:
        """Stores when the next run of a source begins. If Redis is unreachable, the keeper does it later."""
        config = source.config
        due = 0 if config.paused else next_due_ms(config.schedule, source.source_id, now_ms(self._clock))
        await self._ignoring_away(self._board.set_due(f"{tenant_uid}/{source.source_id}", due))

    async def _ignoring_away(self, work: object) -> None:
        """Ignores an unreachable board: the ledger is authoritative, and the keeper updates the board later."""
        try:
            await work  # type: ignore[misc]
        except BoardAway:
            pass

    async def _ledger(self, tenant_uid: str) -> Ledger:
        return await self._read(self._parts.ledgers.of, tenant_uid)

    async def _read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with translated_errors():
            return await self._workers.read(function, *args, **kwargs)

    async def _write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with translated_errors():
            return await self._workers.write(function, *args, **kwargs)
