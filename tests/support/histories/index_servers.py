"""Servers as far as the index knows them, all in this process: they cost little, so that much can happen to what
connects them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from index import OutcomeUnknown, RecordWrite, SearchQuery, StoreUnavailable
from index.types.record import Attributes, Outcome, Vector
from tests.index.records.postgresql.servers import IndexServer
from tests.support.data.collections import DIMENSION, SPEC
from tests.support.histories.connections import Asked, NobodyKnows, NotDone, check_whole, query, vector
from tests.support.histories.operations import Told

_TOLD = {Outcome.CREATED: Told.CREATED, Outcome.UPDATED: Told.UPDATED, Outcome.FAILED: Told.EXISTS}


class IndexConnection:
    """server: its number."""

    def __init__(self, asked: IndexServer, server: int) -> None:
        self._asked, self.server = asked, server

    def write(self, key: str, value: int, *, insert_only: bool = False) -> Told:
        write = RecordWrite(key, _floats(vector(value, DIMENSION)), "", {"owner": key, "value": float(value)})
        try:
            (result,) = self._asked.things.upsert([write], insert_only=insert_only)
        except StoreUnavailable as error:
            raise _meaning(error) from error
        return _TOLD[result.outcome]

    def delete(self, key: str) -> Told:
        try:
            deletion = self._asked.things.delete_known([key])
        except StoreUnavailable as error:
            raise _meaning(error) from error
        assert len(deletion.missing) == 1 - deletion.records
        return Told.MISSING if deletion.missing else Told.DELETED

    def read(self, key: str) -> int | None:
        found = self._asked.things.get([key]).get(key)
        return None if found is None else _value(found.attributes)

    def search(self, key: str) -> int | None:
        asked = SearchQuery(_floats(query(DIMENSION)), 3, filter=f'owner = "{key}"')
        hits = [hit for group in self._asked.things.search(asked).groups for hit in group]
        if not hits:
            return None
        (hit,) = hits
        value = _value(hit.record.attributes)
        check_whole(key, value, hit.distance)
        return value

    def close(self) -> None:
        """The server is closed by whoever has made it."""


def index_servers(folder: Path, urls: Sequence[str]) -> list[IndexServer]:
    """Servers with one collection; the directories of all but the first are copies of that of the first."""
    first = IndexServer(folder / "0", urls[0])
    first.tenant.create(SPEC)
    first.close()
    for number in range(1, len(urls)):
        shutil.copytree(folder / "0", folder / str(number))
    return [IndexServer(folder / str(number), url) for number, url in enumerate(urls)]


def connections(servers: Sequence[IndexServer]) -> list[Asked]:
    return [IndexConnection(server, number) for number, server in enumerate(servers)]


def _meaning(error: StoreUnavailable) -> Exception:
    return NobodyKnows("outcome unknown") if isinstance(error, OutcomeUnknown) else NotDone("unavailable")


def _value(attributes: Attributes) -> int:
    value = attributes["value"]
    assert isinstance(value, int | float)
    return int(value)


def _floats(packed: bytes) -> Vector:
    return np.frombuffer(packed, "<f4")
