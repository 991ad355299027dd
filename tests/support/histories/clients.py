"""Clients that write and read records at random, each in a thread of its own, and note what they are told."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.support.histories.connections import Asked, NobodyKnows, NotDone
from tests.support.histories.operations import FOR_EVER, History, Kind, Operation, Told

Slack = Callable[[int, float], float]
_PAUSE_S, _AFTER_FAILURE_S = 0.01, 0.05


@dataclass
class Shared:
    """What all clients have in common.

    - `slack`: by how many seconds a read of a server may be behind, if it begins at a moment.
    - `keys`: of the records that are in use.
    - `acknowledged`: writes by server. `failed`: calls by kind and reason.
    """

    history: History
    slack: Slack
    keys: list[str] = field(default_factory=list)
    acknowledged: Counter[int] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    broken: list[BaseException] = field(default_factory=list)
    values: Iterator[int] = field(default_factory=itertools.count)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """Asks until it is stopped, or something happens that must not."""

    def __init__(self, shared: Shared, connections: Sequence[Asked], seed: int) -> None:
        self._shared, self._connections, self._chance = shared, connections, random.Random(seed)
        self.turn = threading.Lock()  # held during each call
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                with self.turn:
                    went_well = self._step()
                self._stop.wait(_PAUSE_S if went_well else _AFTER_FAILURE_S)
        except BaseException as error:
            self._shared.broken.append(error)

    def _step(self) -> bool:
        chance, connection = self._chance, self._chance.choice(self._connections)
        key, roll = chance.choice(self._shared.keys), chance.random()
        if roll < 0.65:
            return self._read(connection, key, connection.read if roll < 0.3 else connection.search)
        value = next(self._shared.values)
        if roll < 0.86:
            return self._write(Kind.WRITE, connection, key, value, lambda: connection.write(key, value))
        if roll < 0.93:
            insert = lambda: connection.write(key, value, insert_only=True)  # noqa: E731
            return self._write(Kind.INSERT_ONLY, connection, key, value, insert)
        return self._write(Kind.DELETE, connection, key, None, lambda: connection.delete(key))

    def _read(self, connection: Asked, key: str, ask: Callable[[str], int | None]) -> bool:
        began = time.monotonic()
        slack = self._shared.slack(connection.server, began)
        try:
            found = ask(key)
        except (NotDone, NobodyKnows) as error:
            return self._failed("read", error)
        self._note(Operation(Kind.READ, key, connection.server, found, began, time.monotonic(), slack=slack))
        return True

    def _write(self, kind: Kind, connection: Asked, key: str, value: int | None, ask: Callable[[], Told]) -> bool:
        began, server = time.monotonic(), connection.server
        try:
            told = ask()
        except NotDone as error:  # is taken at its word: whoever sees the value all the same refutes it
            return self._failed(kind, error)
        except NobodyKnows as error:
            self._note(Operation(kind, key, server, value, began, FOR_EVER, Told.UNKNOWN))
            return self._failed(kind, error)
        self._note(Operation(kind, key, server, value, began, time.monotonic(), told))
        with self._shared.lock:
            self._shared.acknowledged[server] += 1
        return True

    def _note(self, operation: Operation) -> None:
        self._shared.history.add(operation)

    def _failed(self, what: str, error: Exception) -> bool:
        with self._shared.lock:
            self._shared.failed[f"{what}: {error}"] += 1
        return False


@contextmanager
def paused(clients: Sequence[Client]) -> Iterator[None]:
    """No call is under way in the block."""
    with ExitStack() as held:
        for client in clients:
            held.enter_context(client.turn)
        yield
