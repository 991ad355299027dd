"""Small databases that several servers have alike: what the index and the service ask of whoever shares them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True)
class SharedDatabase:
    """An SQLite database of which each server has a copy.

    - `id`: what it is known by where it is shared, 16 bytes.
    - `key`: its rows are sealed under a key that is derived from it, 32 bytes.
    - `owner`: uid of the tenant; empty: it is of all.
    - `own_tables`, `own_columns`: what each server has for itself; columns by table. They have defaults.
    - `alike`: columns, by table, in which the rows of a server must be those of others with the same primary key, when
      it begins to share them.
    """

    id: bytes
    key: bytes
    owner: str = ""
    own_tables: tuple[str, ...] = ()
    own_columns: tuple[tuple[str, str], ...] = ()
    alike: tuple[tuple[str, str], ...] = ()


class DatabaseTransactions(Protocol):
    """Changes of one database through one connection. Its owner sees to it that no two threads use it at once."""

    @property
    def version(self) -> int:
        """Up to which commit the database of this server has followed; 0: it is not shared."""

    def open(self) -> None:
        """Brings the database up to date, or enters it where it is to be shared and was not yet. Raises
        StoreUnavailable, StoreDamaged or UnsupportedFormat."""

    def changing(self) -> AbstractContextManager[None]:
        """A transaction, which sees what every server has committed. Committed at the end of the block. Raises
        StoreUnavailable, OutcomeUnknown, or DatabaseError."""

    def follow(self) -> bool:
        """Applies what other servers have committed. Returns whether there was anything. Raises StoreUnavailable,
        StoreDamaged or UnsupportedFormat."""

    def detach(self) -> None:
        """Makes the database of this server the truth, where it has all that the other servers have, and deletes what
        is shared. Raises StoreUnavailable, or StoreDamaged where they differ."""

    def differences(self) -> list[str]:
        """How the database differs from what is shared, a line each. Raises StoreUnavailable or StoreDamaged."""


class ServerStanding(NamedTuple):
    """Of a server that was asked to erase. runs: whether it was heard of a moment ago."""

    name: str
    runs: bool


class ErasingServers(Protocol):
    """What the servers that share tenants have yet to erase. Any number of threads may call any method at once. All
    raise StoreUnavailable."""

    def wanted(self, tenant_uids: Iterable[str]) -> tuple[int, list[str]]:
        """Says that this server runs. Returns the number of the newest erasure, and which of the tenants others have
        erased something of since this server `did`."""

    def did(self, number: int) -> None:
        """Says that nothing is left here of what was erased up to this erasure."""

    def want(self, tenant_uid: str) -> int:
        """Asks all other servers to erase what this one has erased of a tenant. Returns the number of the erasure."""

    def left(self, number: int) -> list[ServerStanding]:
        """The other servers that have yet to do so, by name."""


class DatabaseSharing(Protocol):
    """Shares the databases of a process with other servers. Any number of threads may call any method at once."""

    def transactions(
        self, shared: SharedDatabase, connection: Any, applied: Callable[[], object]
    ) -> DatabaseTransactions:
        """How a database is changed. `connection`: to it, in the newest format. `applied`: called in the transaction
        in which changes of other servers were applied, before it is committed; what it raises takes them back."""

    def watch(self, id: bytes, version: Callable[[], int], follow: Callable[[], object]) -> None:
        """Has `follow` called in a thread as soon as the database with this id has another version than `version`
        returns, until `end_watch`. Failures are logged, and it is called again."""

    def watch_cold(self, id: bytes, catch_up: Callable[[], object]) -> None:
        """Has `catch_up` called in a thread when the collection with this id may be behind and is not in memory, until
        `end_watch`."""

    def end_watch(self, id: bytes) -> None:
        """Ends that."""

    def forget(self, owner: str) -> None:
        """Deletes everything that is shared of a tenant, for good. Raises StoreUnavailable."""

    def servers(self, deployment: bytes, name: str) -> ErasingServers:
        """The servers of a deployment, known by 16 bytes. `name`: of this server, unique."""

    def close(self) -> None:
        """Closes connections that are idle."""
