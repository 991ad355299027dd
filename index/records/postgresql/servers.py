"""The servers of one deployment as PostgreSQL knows them: which run, and what each has yet to erase.

Each server says every few seconds that it runs, and up to which erasure it has nothing left of what was erased. So a
server that erases knows when the others have, and needs no connection to any of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from index.contract import ServerStanding
from index.records.postgresql.database import CHANNEL, Database
from index.records.postgresql.shared_rows import owner_id

_RUNS_S = 15.0  # a server that was not heard of for so long does not run
_KEPT_DAYS = 30.0


class Servers:
    """Implements `ErasingServers`."""

    def __init__(self, database: Database, deployment: bytes, name: str) -> None:
        """deployment: what tells it from others in the same database, 16 bytes. name: of this server, unique."""
        self._database, self._deployment, self._name = database, deployment, name
        self._id = owner_id(name)

    def wanted(self, tenant_uids: Iterable[str]) -> tuple[int, list[str]]:
        """Says that this server runs. Returns the number of the newest erasure, and which of the tenants others have
        erased something of since this server `did`."""
        owners = {owner_id(uid): uid for uid in tenant_uids}
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO afterimage.servers (deployment, id, name, seen, erased) VALUES (%s, %s, %s, now(), 0)"
                " ON CONFLICT (deployment, id) DO UPDATE SET seen = now() RETURNING erased",
                (self._deployment, self._id, self._name.encode()),
            ).fetchone()
            assert row is not None
            found = connection.execute(
                "SELECT number, owner FROM afterimage.erasures WHERE deployment = %s AND number > %s ORDER BY number",
                (self._deployment, row[0]), binary=True,
            ).fetchall()  # fmt: skip
        newest = found[-1][0] if found else row[0]
        uids = {owners[bytes(owner)]: None for _, owner in found if bytes(owner) in owners}
        return newest, list(uids)

    def did(self, number: int) -> None:
        """Says that nothing is left here of what was erased up to this erasure."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE afterimage.servers SET erased = greatest(erased, %s) WHERE deployment = %s AND id = %s",
                (number, self._deployment, self._id),
            )

    def want(self, tenant_uid: str) -> int:
        """Asks all other servers to erase what this one has erased of a tenant. Returns the number of the erasure."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM afterimage.erasures WHERE deployment = %s AND at < now() - make_interval(secs => %s)",
                (self._deployment, _KEPT_DAYS * 86400),
            )
            row = connection.execute(
                "INSERT INTO afterimage.erasures (deployment, owner) VALUES (%s, %s) RETURNING number",
                (self._deployment, owner_id(tenant_uid)),
            ).fetchone()
            assert row is not None
            connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
            return int(row[0])

    def left(self, number: int) -> list[ServerStanding]:
        """The other servers that have yet to do so, by name."""
        with self._database.transaction() as connection:
            found = connection.execute(
                "SELECT name, seen > now() - make_interval(secs => %s) FROM afterimage.servers"
                " WHERE deployment = %s AND id <> %s AND erased < %s ORDER BY name",
                (_RUNS_S, self._deployment, self._id, number),
            ).fetchall()
        return [ServerStanding(bytes(name).decode(), runs) for name, runs in found]
