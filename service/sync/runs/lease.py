"""The lease of a run, and the dependencies of synchronisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from service.audit.logs import AuditLogs
from service.coordination.run_board import RunBoard, RunRef
from service.engine.engine import Engine
from service.metrics import Metrics
from service.runtime.clock import SYSTEM_CLOCK, Clock
from service.sync.feed_input.feed_process import FeedReaders
from service.sync.feed_input.fetching import FeedFetcher
from service.sync.ledgers import Ledgers
from service.tracing.spans import NO_TRACER, Tracer

STOP_AFTER_S = 20.0  # without a renewal; shorter than the duration of the lease


class LeaseLost(Exception):
    """The worker no longer holds the lease of the run."""


@dataclass
class Lease:
    """A run that a worker has taken from the board.

    - `alive`: returns whether the worker is still connected.
    - `confirmed`: whether the board has confirmed that the worker holds it. What a remote worker says may be wrong.
    """

    ref: RunRef
    epoch: int
    worker: str
    alive: Callable[[], bool] = lambda: True
    clock: Clock = SYSTEM_CLOCK
    renewed: float = field(init=False)
    confirmed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.renewed = self.clock.elapsed_s()

    def check(self) -> None:
        """Raises LeaseLost if another worker may have taken over. Nothing may be written after that."""
        if self.clock.elapsed_s() - self.renewed > STOP_AFTER_S:
            raise LeaseLost


@dataclass(frozen=True)
class SyncParts:
    """The dependencies of synchronisation.

    - `server`: the unique name of this server, which is stable over restarts.
    - `at_once`: maximum number of concurrent runs.
    """

    engine: Engine
    ledgers: Ledgers
    board: RunBoard
    fetcher: FeedFetcher
    metrics: Metrics
    server: str
    at_once: int
    audit: AuditLogs
    readers: FeedReaders = field(default_factory=FeedReaders)
    clock: Clock = SYSTEM_CLOCK
    tracer: Tracer = NO_TRACER
