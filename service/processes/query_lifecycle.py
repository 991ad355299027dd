"""Start, drain and stop of a query process, and what it does beside its calls."""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import dataclass

from index import trim_heap
from service.calls.gate import Gate
from service.calls.limits.call_limiter import CallLimiter
from service.coordination.client import Coordinator
from service.engine.engine import Engine
from service.errors import ServiceError
from service.lifecycle import Addresses
from service.metrics import Metrics
from service.processes.followed_spaces import FollowedSpaces
from service.processes.notes import Told
from service.processes.obeying import Obeying
from service.processes.process_metrics import told_metrics
from service.processes.role import Role
from service.rpc.forwarding.internal_server import NOTES_PATH
from service.rpc.forwarding.writer_channel import WriterChannel
from service.rpc.server import RpcServer
from service.runtime.access_log import AccessLog
from service.runtime.background import end_task
from service.runtime.certificates import Certificates
from service.runtime.clock import Interval
from service.runtime.process import freeze_gc
from service.tenancy.keyring import KeyRing
from service.tracing.spans import Tracer

_LOG = logging.getLogger(__name__)
_FOLLOW_EVERY_S, _TELL_EVERY_S, _NOTE_USES_EVERY_S = 0.5, 5.0, 60.0
_LAST_WORDS_S = 0.5


@dataclass(frozen=True)
class QueryParts:
    """What a query process consists of, as `service.composition` puts it together."""

    role: Role
    drain_timeout_s: float
    engine: Engine
    spaces: FollowedSpaces
    api_keys: KeyRing
    gate: Gate
    limiter: CallLimiter
    metrics: Metrics
    rpc: RpcServer
    writer: WriterChannel
    coordinator: Coordinator
    certificates: Certificates | None
    tracer: Tracer
    access_log: AccessLog


class QueryLifecycle:
    """Runs one query process once. For one event loop."""

    def __init__(self, parts: QueryParts) -> None:
        self._parts = parts
        self._upkeep: asyncio.Task[None] | None = None
        self._obeying: asyncio.Task[None] | None = None

    async def start(self) -> Addresses:
        """Returns once calls are accepted."""
        parts = self._parts
        await parts.rpc.start()
        freeze_gc()
        parts.gate.open = True
        self._upkeep = asyncio.create_task(self._keep_up(), name="follow")
        obeying = Obeying(parts.role.number, parts.spaces, parts.writer)
        self._obeying = asyncio.create_task(obeying.run(), name="obey")
        parts.rpc.set_serving(True)
        return Addresses(parts.role.listen, "")

    async def stop(self) -> None:
        """Drains, then closes everything."""
        parts = self._parts
        parts.rpc.set_serving(False)
        await parts.gate.close(parts.drain_timeout_s)
        await parts.rpc.stop(_LAST_WORDS_S)
        if self._upkeep is not None and self._obeying is not None:
            await end_task(self._upkeep)
            await end_task(self._obeying)
            await self._tell()
        await parts.engine.close_collections(0.0)
        await parts.writer.close()
        await parts.coordinator.close()
        await parts.engine.close_threads()
        await asyncio.to_thread(parts.tracer.close)
        await parts.access_log.close()

    def read_again(self) -> None:
        """Reads the TLS files again."""
        if self._parts.certificates is not None:
            self._parts.certificates.read_again()

    async def _keep_up(self) -> None:
        parts, telling, uses = self._parts, Interval(_TELL_EVERY_S), Interval(_NOTE_USES_EVERY_S)
        while True:
            await asyncio.sleep(_FOLLOW_EVERY_S)
            try:
                await asyncio.to_thread(parts.spaces.follow)
                if parts.limiter.became_idle():
                    gc.collect()  # frees, and so overwrites, what calls left in cycles
                if parts.limiter.peak_was_released():
                    await asyncio.to_thread(trim_heap)
                if telling.restart_if_over():
                    await self._tell()
                if uses.restart_if_over():
                    await asyncio.to_thread(parts.api_keys.note_uses)
            except Exception as error:  # the next round must follow; the cause is in the log
                _LOG.error("following the process that writes failed", exc_info=error)

    async def _tell(self) -> None:
        """Notes that do not reach the writer are lost: they are means and counts, of which some seconds are missing."""
        parts = self._parts
        notes = await asyncio.to_thread(parts.spaces.take_notes)
        told = Told(f"query-{parts.role.number}", told_metrics(parts.metrics), notes)
        try:
            await parts.writer.ask(NOTES_PATH, told.pack())
        except ServiceError as error:
            _LOG.warning("notes of searches did not reach the process that writes: %s", error.message)
