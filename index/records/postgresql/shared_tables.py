"""The tables of a collection's database whose rows all servers share: which rows a transaction changed, and applying
rows that another server changed.

Temporary triggers of the writer's connection note the primary key of each row that changes. They are no part of the
database. What only concerns this server stays out: what its index learnt, and how far that has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from index.records.postgresql.sealing import Image, Value
from index.storage.sqlite import Connection

RECORDS, TOMBSTONES, META, NUMBERS = "records", "tombstones", "meta", "sqlite_sequence"
_MOST_KEYS = 3


@dataclass(frozen=True)
class Own:
    """What of a database only concerns this server. tables; columns: by table; names: rows of `meta`. numbered: it has
    records, whose row ids are never given twice."""

    tables: tuple[str, ...]
    columns: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    numbered: bool = False


OWN_OF_COLLECTION = Own(("learnt", "manifest_number"), (), ("collection", "forgotten", "shared"), numbered=True)


@dataclass(frozen=True)
class SharedTable:
    """columns: all that are shared; key: those of the primary key; by_row_id: whether that is the row id; whole: no
    column is this server's own."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    by_row_id: bool
    whole: bool


class Touched(dict[tuple[str, tuple[Value, ...]], Image | None]):
    """The rows that a transaction changed, by table and primary key, as they are after it; None: deleted."""


class SharedTables:
    """Of one connection. Its owner sees to it that no two threads use it at once."""

    def __init__(self, connection: Connection, own: Own = OWN_OF_COLLECTION) -> None:
        """The database must be in the newest format."""
        self._connection, self._own = connection, own
        names = connection.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall()
        self.tables = {name: self._described(name) for (name,) in names if name not in own.tables}
        self._number = self._last_number()

    def watch(self) -> None:
        """Begins to note what changes."""
        execute = self._connection.execute
        execute("PRAGMA recursive_triggers = ON")  # else a row that REPLACE removes is not noted
        execute("CREATE TEMP TABLE touched (shared_table TEXT, one, two, three)")
        for table in self.tables.values():
            for event in ("INSERT", "UPDATE", "DELETE"):
                if table.name == TOMBSTONES and event == "DELETE":
                    continue  # each server forgets its own, when its index needs them no more
                execute(_trigger(table, event, self._own.names))

    def touched(self) -> Touched:
        """What changed since `forget_touched`."""
        found = Touched()
        for name, *values in self._connection.execute("SELECT DISTINCT * FROM temp.touched").fetchall():
            table = self.tables[name]
            key = tuple(values[: len(table.key)])
            found[name, key] = self._image(table, key)
        number = self._last_number()
        if number != self._number:
            found[NUMBERS, (RECORDS,)] = Image(NUMBERS, {"name": RECORDS, "seq": number})
        return found

    def touch(self, rows: Iterable[tuple[str, tuple[Value, ...]]]) -> None:
        """Notes rows as changed, by table and primary key."""
        for name, key in rows:
            self._connection.execute("INSERT INTO temp.touched VALUES (?, ?, ?, ?)", (name, *key, *("",) * 2)[:4])

    def forget_touched(self) -> None:
        """Begins anew, within the transaction or after it."""
        self._connection.execute("DELETE FROM temp.touched")

    def settle_number(self) -> None:
        """Notes that the other servers know how far row ids have been given."""
        self._number = self._last_number()

    def images(self) -> Iterator[tuple[tuple[Value, ...], Image]]:
        """All shared rows, each with its primary key."""
        for table in self.tables.values():
            own = f" WHERE name NOT IN ({_listed(self._own.names)})" if table.name == META else ""
            rows = self._connection.execute(f"SELECT {_names(table.columns)} FROM {table.name}{own}")  # noqa: S608
            places = [table.columns.index(k) for k in table.key]
            for row in rows:
                yield tuple(row[p] for p in places), Image(table.name, dict(zip(table.columns, row, strict=True)))
        if self._own.numbered:
            yield (RECORDS,), Image(NUMBERS, {"name": RECORDS, "seq": self._last_number()})

    def put(self, images: Iterable[Image]) -> list[int]:
        """Writes rows as they are elsewhere. Returns the row ids of records among them. A row that is in the way is
        older: what became of it follows."""
        records = []
        for image in images:
            if image.table == NUMBERS:
                self._raise_number(image)
                continue
            names, values = list(image.values), list(image.values.values())
            if not self.tables[image.table].whole and self._updated(self.tables[image.table], image):
                continue
            self._connection.execute(
                f"INSERT OR REPLACE INTO {image.table} ({_names(names)}) VALUES ({','.join('?' * len(names))})",  # noqa: S608
                values,
            )
            if image.table == RECORDS:
                records.append(image.values["row_id"])
        return records  # type: ignore[return-value]

    def _updated(self, table: SharedTable, image: Image) -> bool:
        """Writes over a row that is there, and leaves what is this server's own in it."""
        assignments, condition = (f" {joint} ".join(f"{n} = ?" for n in names)
                                  for joint, names in ((",", image.values), ("AND", table.key)))  # fmt: skip
        statement = f"UPDATE OR REPLACE {table.name} SET {assignments} WHERE {condition}"  # noqa: S608
        keys = [image.values[k] for k in table.key]
        return bool(self._connection.execute(statement, [*image.values.values(), *keys]).rowcount)

    def remove(self, table: SharedTable, keys: Sequence[tuple[Value, ...]]) -> None:
        """Deletes rows by primary key, where they are there."""
        condition = " AND ".join(f"{k} = ?" for k in table.key)
        self._connection.executemany(f"DELETE FROM {table.name} WHERE {condition}", keys)  # noqa: S608

    def keys(self, table: SharedTable) -> list[tuple[Value, ...]]:
        """The primary keys of a table's rows."""
        return list(self._connection.execute(f"SELECT {_names(table.key)} FROM {table.name}").fetchall())  # noqa: S608

    def _described(self, name: str) -> SharedTable:
        facts = self._connection.execute(f"PRAGMA table_info({name})").fetchall()
        columns = tuple(f[1] for f in facts if (name, f[1]) not in self._own.columns)
        keys = sorted((f for f in facts if f[5]), key=lambda f: f[5])
        assert 1 <= len(keys) <= _MOST_KEYS, name
        by_row_id, whole = [f[2] for f in keys] == ["INTEGER"], len(columns) == len(facts)
        return SharedTable(name, columns, tuple(f[1] for f in keys), by_row_id, whole)

    def _image(self, table: SharedTable, key: Sequence[Value]) -> Image | None:
        condition = " AND ".join(f"{k} = ?" for k in table.key)
        query = f"SELECT {_names(table.columns)} FROM {table.name} WHERE {condition}"  # noqa: S608
        row = self._connection.execute(query, tuple(key)).fetchone()
        return None if row is None else Image(table.name, dict(zip(table.columns, row, strict=True)))

    def _last_number(self) -> int:
        if not self._own.numbered:
            return 0
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'records'"
        row = self._connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _raise_number(self, image: Image) -> None:
        """Row ids are never given twice, by whichever server."""
        self._connection.execute(
            "INSERT INTO sqlite_sequence SELECT 'records', 0 WHERE NOT EXISTS"
            " (SELECT * FROM sqlite_sequence WHERE name = 'records')"
        )
        self._connection.execute(
            "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'records'", (image.values["seq"],)
        )


def _trigger(table: SharedTable, event: str, own_names: Sequence[str]) -> str:
    rows = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}[event]
    notes = []
    for row in rows:
        key = ", ".join([*(f"{row}.{k}" for k in table.key), "''", "''"][:_MOST_KEYS])
        notes.append(f"INSERT INTO touched VALUES ('{table.name}', {key});")  # noqa: S608
    condition = ""
    if table.name == META:
        changed = " AND OLD.value IS NOT NEW.value" if event == "UPDATE" else ""
        condition = f"WHEN {rows[-1]}.name NOT IN ({_listed(own_names)}){changed}"
    of = f" OF {_names(table.columns)}" if event == "UPDATE" and not table.whole else ""
    return (
        f"CREATE TEMP TRIGGER shared_{table.name}_{event.lower()} AFTER {event}{of} ON main.{table.name} {condition}"
        f" BEGIN {' '.join(notes)} END"
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{n}'" for n in names)
