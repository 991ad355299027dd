"""Nothing that names or describes a record is in clear in PostgreSQL, and without the tenant's key nothing opens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest

from index import CollectionCache, LocalVectorIndexes, SourceMark, StoreDamaged, TenantDirectory
from index.records.extensions.registered import postgres_stores
from index.records.postgresql.sealing import Image, Seal
from index.records.sharing import shared_id
from index.storage.layout import DataDirectory
from index.types.companions import Origin
from index.types.sources import SourceBatch
from tests.index.records.postgresql.servers import IndexServer
from tests.support.data.collections import SPEC, record, vector
from tests.support.postgresql.server import PostgresServer

_ID, _PRODUCT, _WORD, _SOURCE, _SEARCH = (
    f"canary-{part}-7f3a91" for part in ("id", "product", "word", "src", "search")
)


@pytest.fixture
def filled(tmp_path: Path, postgres: PostgresServer) -> Iterator[IndexServer]:
    """A server that has written, withdrawn and deleted what must not be found."""
    server = IndexServer(tmp_path, postgres.url)
    things = server.tenant.create(SPEC)
    canary = replace(record(1, _PRODUCT, note=_WORD), record_id=_ID)
    things.upsert([canary, replace(canary, record_id=f"{_ID}-2")])
    things.sourced.claim(1)
    followed = replace(canary, record_id=f"{_ID}-3", origin=Origin(b"u", ""), mark=SourceMark(_SOURCE, b"i"))
    things.sourced.apply(SourceBatch(1, _SOURCE, "run"), [followed])
    things.sourced.withdraw(SourceBatch(1, _SOURCE, "run"), [f"{_ID}-3"])
    things.saved_searches.create(_SEARCH, _WORD.encode())
    things.delete([f"{_ID}-2", f"{_ID}-3"])
    yield server
    server.close()


def _canaries() -> dict[str, bytes]:
    unit = (vector(1) / np.linalg.norm(vector(1))).astype(np.float32)
    words = {name: name.encode() for name in (_ID, _PRODUCT, _WORD, _SOURCE, _SEARCH, SPEC.name)}
    return {**words, "the vector": unit.tobytes()[:16], "the vector as float16": unit.astype(np.float16).tobytes()[:12]}


def _found(postgres: PostgresServer, canaries: dict[str, bytes]) -> set[str]:
    """Which of them are in a dump, or in any file of the cluster: tables, indexes and write-ahead log."""
    dump, files = postgres.dump(), list(postgres.files())
    return {
        name
        for name, canary in canaries.items()
        if canary in dump or canary.hex().encode() in dump or any(canary in content for content in files)
    }


def test_neither_a_dump_nor_any_file_of_the_database_has_an_id_an_attribute_or_a_vector(
    filled: IndexServer, postgres: PostgresServer
) -> None:
    canaries = _canaries()
    assert set(filled.things.get([_ID])) == {_ID}
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        assert _found(postgres, {n: c for n, c in canaries.items() if n != SPEC.name}) == set()
        # The scan would see them: a table in clear has the same things.
        connection.execute("CREATE TABLE in_clear (value bytea)")
        connection.cursor().executemany("INSERT INTO in_clear VALUES (%s)", [(c,) for c in canaries.values()])
        connection.execute("CHECKPOINT")
        found = _found(postgres, canaries)
        connection.execute("DROP TABLE in_clear")
    assert found == set(canaries)


def test_what_was_deleted_is_told_by_its_row_id_alone(filled: IndexServer) -> None:
    seal = Seal(shared_id(place := filled.things.handle.place), place.key)
    deletions = []
    with filled.stores._database.transaction() as connection:
        state = filled.store.shared.state(connection)
        assert state is not None
        for page in filled.store.shared.after(connection, state.number, 0):
            deletions += [seal.open(r.key, r.version, r.sealed) for r in page if r.kind == 1]
    assert {d.table for d in deletions} >= {"records", "withdrawn"}
    assert all(isinstance(value, int) for d in deletions for value in d.values.values())


def test_without_the_key_no_row_opens_and_the_collection_is_not_even_found(
    filled: IndexServer, tmp_path: Path, postgres: PostgresServer
) -> None:
    place = filled.things.handle.place
    seal, other = Seal(shared_id(place), place.key), Seal(shared_id(replace(place, key=bytes(32))), bytes(32))
    row_key = seal.row_key("records", (1,))
    sealed = seal.seal(row_key, 3, Image("records", {"row_id": 1, "vector": b"\0" * 9, "note": None}))
    assert seal.open(row_key, 3, sealed) == Image("records", {"row_id": 1, "vector": b"\0" * 9, "note": None})
    assert (other.id != seal.id, other.row_key("records", (1,)) != row_key) == (True, True)
    for opener, key, version in ((other, row_key, 3), (seal, seal.row_key("records", (2,)), 3), (seal, row_key, 4)):
        with pytest.raises(StoreDamaged):
            opener.open(key, version, sealed)
    stranger = TenantDirectory(
        DataDirectory(tmp_path / "stranger").tenant("a" * 32), bytes(32),
        CollectionCache(LocalVectorIndexes(), stores=postgres_stores(postgres.url)),
    )  # fmt: skip
    assert stranger.create(SPEC).count() == 0
    stranger.close()
