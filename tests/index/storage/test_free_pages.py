from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from sqlcipher3 import dbapi2

from index import Collection, RecordWrite
from index.storage.free_pages import give_back_free_pages
from index.types.collection import CollectionSpec
from tests.support.data.collections import directory, loaded

DIMENSION = 384
SPEC = CollectionSpec("things", "builtin", "f" * 16, DIMENSION)
VECTORS = np.random.default_rng(1).standard_normal((12_000, DIMENSION), np.float32)


def filled(root: Path) -> Collection:
    collection = directory(root).create(SPEC)
    for start in range(0, len(VECTORS), 3000):
        collection.upsert([RecordWrite(str(start + i), v) for i, v in enumerate(VECTORS[start : start + 3000])])
    collection.snapshot()
    return collection


def size_of(root: Path) -> int:
    return sum(p.stat().st_size for p in root.rglob("records.db*"))


def test_a_database_gets_smaller_after_a_large_deletion_and_keeps_the_rest(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    before = size_of(tmp_path)
    collection.delete([str(n) for n in range(2000, 12_000)])
    collection.maintain()
    collection.snapshot()
    assert size_of(tmp_path) < before * 0.4
    kept = collection.get([str(n) for n in range(2000)], vectors=True)
    assert len(kept) == 2000
    unit = VECTORS[7] / np.linalg.norm(VECTORS[7])
    assert kept["7"].vector is not None
    assert np.allclose(kept["7"].vector, unit, atol=1e-6)
    assert not list(collection.problems())


def test_a_small_deletion_is_left_to_new_records(tmp_path: Path) -> None:
    collection = filled(tmp_path)
    parts = loaded(collection)
    collection.delete([str(n) for n in range(500)])
    assert give_back_free_pages(parts.store.connection, parts.commit.lock) == 0


@pytest.mark.parametrize("mode", [0, 2])
def test_databases_of_either_kind_are_shrunk(tmp_path: Path, mode: int) -> None:
    connection = dbapi2.connect(str(tmp_path / "old.db"), isolation_level=None)
    connection.execute(f"PRAGMA auto_vacuum = {mode}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a BLOB)")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO t VALUES (?)", [(bytes(4000),)] * 5000)
    connection.execute("DELETE FROM t WHERE rowid > 100")
    connection.execute("COMMIT")
    assert give_back_free_pages(connection, threading.Lock()) > 15 << 20
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert (tmp_path / "old.db").stat().st_size < 2 << 20
    assert connection.execute("SELECT count(*) FROM t").fetchone()[0] == 100
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()
