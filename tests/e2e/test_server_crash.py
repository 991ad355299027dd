"""kill -9 of the whole server during inserts: acknowledged pictures are stored and found."""

import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from afterimage.client import AfterimageError, Client, NewRecord
from tests.support.data.pictures import png
from tests.support.servers.server import start_server

ROUNDS, LONG_ROUNDS = 2, 20
WRITERS = 3


@dataclass
class Writer:
    """Inserts batches of three until the server is gone. Records acknowledged and unfinished ones."""

    client: Client
    name: str
    first_seed: int
    acknowledged: dict[str, int] = field(default_factory=dict)
    in_flight: dict[str, int] = field(default_factory=dict)

    def run(self, one_more: threading.Semaphore) -> None:
        for step in range(1000):
            self.in_flight = {f"{self.name}-{step % 4}-{n}": self.first_seed + step * 3 + n for n in range(3)}
            try:
                self.client.insert("c", [NewRecord(i, image=png(seed)) for i, seed in self.in_flight.items()])
            except AfterimageError:
                return
            self.acknowledged.update(self.in_flight)
            one_more.release()


def settled(client: Client, acknowledged: dict[str, int], in_flight: dict[str, int]) -> dict[str, int]:
    """The stored content: for every acknowledged record its picture, or the newer one in flight at the kill.

    Fails if a record has neither, or does not find itself.
    """
    _, missing = client.get_records("c", sorted(acknowledged))
    assert missing == []
    state = {}
    for record_id, seed in acknowledged.items():
        for candidate in (seed, in_flight.get(record_id, seed)):
            if record_id in [h.record_id for h in client.search("c", png(candidate), max_distance=1e-3).hits]:
                state[record_id] = candidate
    assert state.keys() == acknowledged.keys()
    return state


@pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(LONG_ROUNDS, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_what_the_server_acknowledged_survives_kill_9(tmp_path: Path, rounds: int) -> None:
    key = ""
    acknowledged: dict[str, Any] = {}
    in_flight: dict[str, Any] = {}
    for round_number in range(rounds + 1):
        server = start_server(tmp_path)
        key = key or server.key("acme")
        with server.client(key) as client:
            if round_number == 0:
                client.create_collection("c")
            else:
                acknowledged = settled(client, acknowledged, in_flight)
            if round_number == rounds:
                break
            writers = [Writer(client, f"w{n}", round_number * 100_000 + n * 10_000) for n in range(WRITERS)]
            one_more = threading.Semaphore(0)
            threads = [threading.Thread(target=w.run, args=(one_more,)) for w in writers]
            for thread in threads:
                thread.start()
            for _ in range(random.Random(round_number).randrange(3, 20)):
                assert one_more.acquire(timeout=20)
            server.kill()
            for thread in threads:
                thread.join()
        in_flight = {i: seed for w in writers for i, seed in w.in_flight.items() if w.acknowledged.get(i) != seed}
        for writer in writers:
            acknowledged.update(writer.acknowledged)
    assert server.stop() == 0
