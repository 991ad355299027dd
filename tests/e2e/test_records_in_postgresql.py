"""A server whose records are in PostgreSQL, one that takes over from it, and the way back to the data directory."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from afterimage.client import Client, NewRecord, Term, Unauthenticated, Unavailable
from tests.support.postgresql.server import PostgresServer
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell

DIMENSION = 384


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)


def records(found: np.ndarray, first: int = 0) -> list[NewRecord]:
    return [NewRecord(str(first + n), vector=list(map(float, v))) for n, v in enumerate(found)]


def nearest(client: Client, vector: np.ndarray) -> str:
    return client.search("shoes", Term(vector=list(map(float, vector))), k=1).hits[0].record_id


def until_found(client: Client, vector: np.ndarray, record_id: str) -> None:
    for _ in range(500):
        if nearest(client, vector) == record_id:
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"{record_id} is not found")


def test_a_second_server_answers_and_takes_over_and_the_records_go_back_to_its_directory(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    there = {"AFTERIMAGE_STORE_URL": postgres.url}
    given, more = vectors(40), vectors(3, seed=1)
    before = start_server(tmp_path / "one")
    key = before.key("acme")
    with before.client(key) as client:
        assert client.create_collection("shoes").dimension == DIMENSION
        client.insert("shoes", records(given[:20]))
    assert before.stop() == 0

    shell = Shell(None, "", tmp_path / "state", data_dir=before.data_dir)
    assert "store_url" in shell.json("store", "copy", "--to", "postgresql", *shell.data, code=1)["error"]["message"]
    shell.environment |= there
    copied = shell.json("store", "copy", "--to", "postgresql", *shell.data)["collections"]
    assert copied == [{"tenant": "acme", "collection": "shoes", "records": 20}]
    checked = {c["name"]: c for c in shell.json("doctor", *shell.data)["checks"]}
    assert checked["record store"] == {"name": "record store", "state": "ok", "detail": "PostgreSQL at store_url"}

    one = start_server(tmp_path / "one", environment=there)
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one" / "data.master-key", tmp_path / "two")  # all that the second server is given
    two = start_server(tmp_path / "two", "--processes", "2", environment=there)
    _shared_tenants(one, two, shell)
    with one.client(key) as first, two.client(key) as second:
        first.insert("shoes", records(given[20:], 20))
        until_found(second, given[30], "30")
        assert second.delete_records("shoes", ["30"], force=True).record_count == 1
        one.kill()
        second.insert("shoes", records(more, 100))
        assert [nearest(second, v) for v in more] == ["100", "101", "102"]
        postgres.kill()
        assert nearest(second, given[0]) == "0"
        with pytest.raises(Unavailable):
            second.insert("shoes", records(more, 200))
        postgres.start()
        assert second.count_records("shoes") == 42
    assert postgres.url not in two.settled_log()
    assert two.stop() == 0
    _back(tmp_path, two, key, shell)


def _shared_tenants(one: Server, two: Server, shell: Shell) -> None:
    """What commands beside one server change, the other server knows within two seconds."""
    shell.run("tenants", "create", "bolt", *shell.data)
    key = shell.json("keys", "create", "bolt", "--scopes", "search,insert,delete,admin", *shell.data)["api_key"]

    def answers(server: Server) -> bool:
        with server.client(key) as client:
            try:
                next(client.collections(), None)
                return True
            except Unauthenticated:
                return False

    _within_two_seconds(lambda: answers(two))
    with two.client(key) as client, one.client(key) as first:
        client.create_collection("bags")
        first.insert("bags", records(vectors(1)))  # at once
        assert client.delete_collection("bags", force=True)
        _within_two_seconds(lambda: not list(first.collections()))
    shell.run("keys", "revoke", "bolt", key, *shell.data)
    _within_two_seconds(lambda: not answers(two))
    shell.run("tenants", "delete", "bolt", "--force", *shell.data)


def _within_two_seconds(holds: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < 60  # of a busy machine; the figure is printed
        threading.Event().wait(0.02)
    print(f"followed after {time.monotonic() - begun:.3f} s")


def _back(tmp_path: Path, two: Server, key: str, shell: Shell) -> None:
    data = ["--data-dir", str(two.data_dir)]
    for _ in range(2):  # an interrupted command is run again
        assert shell.json("store", "copy", "--to", "directory", *data)["collections"][0]["records"] == 42
    alone = start_server(tmp_path / "two")
    with alone.client(key) as client:
        assert client.count_records("shoes") == 42
        client.insert("shoes", records(vectors(1, seed=2), 500))
    assert alone.stop() == 0
