"""`manifest.db`: what must be in a tenant's directory, encrypted with the tenant's key.

A thing is listed before it becomes visible and taken off the list after it is gone. So whatever moment a process ends
at, what is there and not listed was never shown to anybody, and what is listed and not there was lost. Of each file
the list knows the salt that its database begins with, which belongs to that file alone, and the lowest number that it
may have; a file with a lower one is an older copy. docs/formats/data-directory.md describes it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from index.storage.crypto import derive_key
from index.storage.open_databases import open_databases
from index.storage.sqlite import Connection, connect, file_errors, integrity_problems, migrate
from index.storage.steps import step
from index.types.errors import DataFault, WrongKey

PURPOSE = "tenant manifest"
_MIGRATIONS = (
    """
    CREATE TABLE things (name TEXT PRIMARY KEY, state TEXT NOT NULL, salt BLOB NOT NULL, number INTEGER NOT NULL,
      told TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE generation (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL)
    """,
)
_COLUMNS = "name, state, salt, number, told"


class State(StrEnum):
    """CREATING and DELETING say what is under way; a start brings it to its end or takes it back."""

    CREATING = "creating"
    PRESENT = "present"
    DELETING = "deleting"


@dataclass(frozen=True)
class Thing:
    """What is listed. name: of a file below the tenant's directory, or `<home>/kept-<id>`; salt: the first 16 bytes of
    its database, empty where they are not known yet; number: the lowest that it may have; details: what is needed to
    list a collection again."""

    name: str
    state: State = State.PRESENT
    salt: bytes = b""
    number: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)


class Manifest:
    """Of one tenant. Holds no file open. Any number of threads may call any method at once, and several processes,
    each about things of its own.

    What must be on disk before something else happens is written at once. What only confirms a change that was
    announced (`later`) waits in memory for the next change, or for `flush`: should the process end before, the next
    start finds it out by itself.
    """

    def __init__(self, path: Path, data_key: bytes) -> None:
        """Opens, or makes, the file. Raises DataFault, UnsupportedFormat or StoreUnavailable."""
        self.path, self._key = path, derive_key(data_key, PURPOSE)
        self._lock = threading.RLock()
        self._waiting: dict[str, Thing | None] = {}  # None: the thing is gone
        self._notes: dict[str, tuple[int, dict[str, Any]]] = {}
        try:
            with self._database(create=True) as database:
                migrate(database, _MIGRATIONS, str(path))
        except WrongKey as error:
            raise DataFault(path, "is damaged, or belongs to another tenant") from error

    def generation(self) -> int:
        """Grows with every change of what is listed; 0: the list is not made yet."""
        with self._database() as database:
            row = database.execute("SELECT number FROM generation").fetchone()
        return int(row[0]) if row else 0

    def check_pages(self) -> None:
        """Raises DataFault where a page does not stand its check."""
        with self._database() as database:
            for problem in integrity_problems(database):
                raise DataFault(self.path, f"is damaged: {problem}")

    def things(self) -> dict[str, Thing]:
        """All that is listed, by name."""
        with self._lock:
            with self._database() as database:
                rows = database.execute(f"SELECT {_COLUMNS} FROM things").fetchall()  # noqa: S608
            found = {row[0]: _thing(row) for row in rows}
            merged = {**found, **self._waiting}
            return {name: self._noted(thing) for name, thing in merged.items() if thing is not None}

    def thing(self, name: str) -> Thing | None:
        """One of them."""
        with self._lock:
            if name in self._waiting:
                thing = self._waiting[name]
            else:
                with self._database() as database:
                    query = f"SELECT {_COLUMNS} FROM things WHERE name = ?"  # noqa: S608
                    row = database.execute(query, (name,)).fetchone()
                thing = None if row is None else _thing(row)
            return None if thing is None else self._noted(thing)

    def put(self, *things: Thing, generation: int = 0) -> None:
        """Lists things, in the place of those of the same names, in one step; on disk when it returns. generation: the
        lowest that the manifest has then."""
        with self._lock:
            self._waiting.update({t.name: t for t in things})
            self._write(generation)
            self._waiting, self._notes = {}, {}

    def later(self, *things: Thing) -> None:
        """Lists things with the next change."""
        with self._lock:
            self._waiting.update({t.name: t for t in things})

    def drop_later(self, *names: str) -> None:
        """Takes things off the list with the next change, for they are gone."""
        with self._lock:
            self._waiting.update(dict.fromkeys(names))

    def note(self, name: str, number: int, **details: Any) -> None:
        """Notes, with the next change, that a thing has reached a number, and adds these details. A thing that
        is not listed is passed over."""
        with self._lock:
            before, said = self._notes.get(name, (0, {}))
            self._notes[name] = max(before, number), {**said, **details}

    def flush(self) -> None:
        """Writes what waits, in one step. Raises StoreUnavailable or DatabaseError."""
        with self._lock:
            if self._waiting or self._notes:
                self._write()
                self._waiting, self._notes = {}, {}

    def _write(self, generation: int = 0) -> None:
        with self._changing() as database:
            gone = [(name,) for name, thing in self._waiting.items() if thing is None]
            database.executemany("DELETE FROM things WHERE name = ?", gone)
            database.executemany(
                f"INSERT OR REPLACE INTO things ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
                [(t.name, t.state, t.salt, t.number, json.dumps(t.details)) for t in self._waiting.values() if t],
            )
            for name, (number, details) in self._notes.items():
                database.execute(
                    "UPDATE things SET number = max(number, ?), told = json_patch(told, ?) WHERE name = ?",
                    (number, json.dumps(details), name),
                )
            database.execute(
                "INSERT INTO generation VALUES (1, max(1, ?1)) ON CONFLICT (one)"
                " DO UPDATE SET number = max(number + 1, ?1)", (generation,),
            )  # fmt: skip

    def _noted(self, thing: Thing) -> Thing:
        number, details = self._notes.get(thing.name, (0, {}))
        return replace(thing, number=max(thing.number, number), details={**thing.details, **details})

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        step("before manifest.db is changed")
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
        step("manifest.db is changed")

    @contextmanager
    def _database(self, *, create: bool = False) -> Iterator[Connection]:
        with file_errors(self.path), closing(connect(self.path, self._key, create=create)) as connection:
            yield connection


def salt_of(path: Path) -> bytes:
    """The first 16 bytes of a database, in the clear: random, and no page of it opens under another salt. Empty where
    there is no such file. Raises OSError."""
    return open_databases.salt_of(path)


def _thing(row: Any) -> Thing:
    name, state, salt, number, details = row
    return Thing(name, State(state), bytes(salt), number, json.loads(details))
