"""Tenants and API keys in `registry.db`, encrypted under the master key.

Several processes may use it at once: the server, and the commands of an operator beside it. A change made by one is
seen by the others at their next call.
"""

from __future__ import annotations

import hmac
import os
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from index import Quota
from index.crypto import KEY_BYTES
from index.errors import AfterimageIndexError
from index.layout import new_uid
from index.sqlite import checkpoint, connect, migrate
from service.errors import Reason, ServiceError
from service.tenancy.apikeys import Scope, new_api_key, parse_api_key
from service.tenancy.masterkey import MasterKey

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_MIGRATIONS = (
    """
    CREATE TABLE tenants (
      uid TEXT PRIMARY KEY,
      name TEXT UNIQUE,
      wrapped_key BLOB,
      created_ms INTEGER NOT NULL,
      deleted_ms INTEGER
    );
    CREATE TABLE api_keys (
      key_id TEXT PRIMARY KEY,
      tenant_uid TEXT NOT NULL REFERENCES tenants (uid),
      digest BLOB NOT NULL,
      scopes TEXT NOT NULL,
      created_ms INTEGER NOT NULL,
      revoked_ms INTEGER
    )
    """,
    """
    ALTER TABLE tenants ADD COLUMN fetch_hosts TEXT
    """,
    """
    ALTER TABLE tenants ADD COLUMN max_records INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tenants ADD COLUMN max_bytes INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE tenants ADD COLUMN max_requests_per_s REAL NOT NULL DEFAULT 0
    """,
)


class TenancyError(AfterimageIndexError):
    """A tenant or key that does not exist, exists already, or has a name that is not allowed."""


@dataclass(frozen=True)
class Tenant:
    """A tenant. `uid` names its directory; the name is for people and may be used again after deletion."""

    uid: str
    name: str
    created_ms: int


@dataclass(frozen=True)
class KeyInfo:
    """What is known of a key: everything but its secret."""

    key_id: str
    scopes: frozenset[Scope]
    created_ms: int
    revoked_ms: int | None


@dataclass(frozen=True)
class Principal:
    """Who is calling: the tenant, the key's id, and what the key may do. max_requests_per_s: of the tenant; 0: no
    limit."""

    tenant_uid: str
    key_id: str
    scopes: frozenset[Scope]
    max_requests_per_s: float = 0.0

    def require(self, scope: Scope) -> None:
        """Raises ServiceError (SCOPE_MISSING) unless the key has the scope."""
        if scope not in self.scopes:
            raise ServiceError(Reason.SCOPE_MISSING, f"this call needs a key with the scope `{scope}`")


class TenantRegistry:
    """Any number of threads may call any method at once."""

    def __init__(self, path: Path, master_key: MasterKey) -> None:
        """Opens, or makes, the registry. Raises WrongKey where the master key is another one."""
        self._master_key = master_key
        self._pepper = master_key.derive("api key digests")
        self._database = connect(path, master_key.derive("tenant registry"))
        migrate(self._database, _MIGRATIONS, "the tenant registry")
        self._lock = threading.Lock()
        self._seen_version: tuple[int, int] | None = None
        self._principals: dict[str, tuple[bytes, Principal, bool]] = {}

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            self._database.close()

    # ---- tenants

    def create_tenant(self, name: str) -> Tenant:
        """Makes a tenant with a data key of its own. Raises TenancyError."""
        if not _NAME.fullmatch(name):
            raise TenancyError(f"tenant name {name[:80]!r} does not match [a-z0-9][a-z0-9_-]{{0,62}}")
        uid, created_ms = new_uid(), _now_ms()
        wrapped = self._master_key.wrap(os.urandom(KEY_BYTES), uid)
        with self._lock:
            if self._database.execute("SELECT 1 FROM tenants WHERE name = ?", (name,)).fetchone():
                raise TenancyError(f"tenant {name!r} exists")
            self._database.execute(
                "INSERT INTO tenants (uid, name, wrapped_key, created_ms) VALUES (?, ?, ?, ?)",
                (uid, name, wrapped, created_ms),
            )
        return Tenant(uid, name, created_ms)

    def tenants(self) -> list[Tenant]:
        """All tenants, ordered by name."""
        query = "SELECT uid, name, created_ms FROM tenants WHERE deleted_ms IS NULL ORDER BY name"
        with self._lock:
            return [Tenant(*row) for row in self._database.execute(query)]

    def tenant(self, name: str) -> Tenant:
        """One tenant. Raises TenancyError."""
        found = [t for t in self.tenants() if t.name == name]
        if not found:
            raise TenancyError(f"no tenant {name!r}")
        return found[0]

    def set_fetch_hosts(self, name: str, hosts: Iterable[str] | None) -> None:
        """The hosts that pictures of this tenant may be fetched from, as `shop.example` or `*.shop.example`; None: any
        public one. Raises TenancyError."""
        tenant = self.tenant(name)
        stored = None if hosts is None else "\n".join(sorted(set(hosts)))
        with self._lock:
            self._database.execute("UPDATE tenants SET fetch_hosts = ? WHERE uid = ?", (stored, tenant.uid))

    def fetch_hosts(self, uid: str) -> frozenset[str] | None:
        """What `set_fetch_hosts` set, by the tenant's uid."""
        with self._lock:
            row = self._database.execute("SELECT fetch_hosts FROM tenants WHERE uid = ?", (uid,)).fetchone()
        return None if row is None or row[0] is None else frozenset(row[0].split())

    def set_quota(self, name: str, quota: Quota) -> None:
        """The most that a tenant may store; 0 for no limit. A running server takes it over within seconds. Raises
        TenancyError."""
        tenant = self.tenant(name)
        with self._lock:
            self._database.execute(
                "UPDATE tenants SET max_records = ?, max_bytes = ? WHERE uid = ?",
                (quota.records, quota.bytes, tenant.uid),
            )

    def quotas(self) -> dict[str, Quota]:
        """The quotas of those tenants that have one, by uid."""
        query = "SELECT uid, max_records, max_bytes FROM tenants WHERE max_records > 0 OR max_bytes > 0"
        with self._lock:
            return {uid: Quota(records, size) for uid, records, size in self._database.execute(query)}

    def set_rate(self, name: str, per_second: float) -> None:
        """Requests a second that a tenant may make, and as many at once, over all servers; 0: no limit. Seen at the
        next call. Raises TenancyError."""
        tenant = self.tenant(name)
        with self._lock:
            self._database.execute("UPDATE tenants SET max_requests_per_s = ? WHERE uid = ?", (per_second, tenant.uid))

    def rate(self, name: str) -> float:
        """What `set_rate` set. Raises TenancyError."""
        tenant = self.tenant(name)
        with self._lock:
            query = "SELECT max_requests_per_s FROM tenants WHERE uid = ?"
            return float(self._database.execute(query, (tenant.uid,)).fetchone()[0])

    def delete_tenant(self, name: str) -> Tenant:
        """Destroys the tenant's data key, and with it what copies and backups hold; its keys stop working at once.
        The files are removed by whoever holds the data directory. Raises TenancyError."""
        tenant = self.tenant(name)
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("DELETE FROM api_keys WHERE tenant_uid = ?", (tenant.uid,))
            self._database.execute(
                "UPDATE tenants SET name = NULL, wrapped_key = NULL, deleted_ms = ? WHERE uid = ?",
                (_now_ms(), tenant.uid),
            )
            self._database.execute("COMMIT")
            checkpoint(self._database)
        return tenant

    def deleted_uids(self) -> list[str]:
        """Uids of deleted tenants, whose files must not remain."""
        with self._lock:
            return [row[0] for row in self._database.execute("SELECT uid FROM tenants WHERE deleted_ms IS NOT NULL")]

    def data_key(self, uid: str) -> bytes:
        """A tenant's data key, 32 bytes. Raises TenancyError where the tenant is gone."""
        return self._master_key.unwrap(self.wrapped_key(uid), uid)

    def wrapped_key(self, uid: str) -> bytes:
        """A tenant's data key as the master key wraps it. Raises TenancyError where the tenant is gone."""
        with self._lock:
            row = self._database.execute("SELECT wrapped_key FROM tenants WHERE uid = ?", (uid,)).fetchone()
        if row is None or row[0] is None:
            raise TenancyError("the tenant does not exist any more")
        return bytes(row[0])

    # ---- API keys

    def create_key(self, tenant_name: str, scopes: Iterable[Scope]) -> str:
        """Makes a key and returns it in the clear, for the only time. Raises TenancyError."""
        tenant, key, wanted = self.tenant(tenant_name), new_api_key(), frozenset(scopes)
        if not wanted:
            raise TenancyError("a key needs at least one scope")
        with self._lock:
            self._database.execute(
                "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, NULL)",
                (key.key_id, tenant.uid, key.digest(self._pepper), ",".join(sorted(wanted)), _now_ms()),
            )
        return str(key)

    def keys(self, tenant_name: str) -> list[KeyInfo]:
        """The tenant's keys, the oldest first. Raises TenancyError."""
        tenant = self.tenant(tenant_name)
        query = "SELECT key_id, scopes, created_ms, revoked_ms FROM api_keys WHERE tenant_uid = ? ORDER BY created_ms"
        with self._lock:
            return [KeyInfo(r[0], _scopes(r[1]), r[2], r[3]) for r in self._database.execute(query, (tenant.uid,))]

    def revoke_key(self, tenant_name: str, key_id: str) -> None:
        """Makes a key stop working, in every process, at its next call. Raises TenancyError."""
        tenant = self.tenant(tenant_name)
        with self._lock:
            changed = self._database.execute(
                "UPDATE api_keys SET revoked_ms = coalesce(revoked_ms, ?) WHERE key_id = ? AND tenant_uid = ?",
                (_now_ms(), key_id, tenant.uid),
            ).rowcount
        if not changed:
            raise TenancyError(f"tenant {tenant_name!r} has no key {key_id!r}")

    def authenticate(self, header: str | None) -> Principal:
        """Who sent this `authorization` header. Raises ServiceError (KEY_MISSING, KEY_INVALID, KEY_REVOKED)."""
        if not header:
            raise ServiceError(Reason.KEY_MISSING, "send `authorization: Bearer <API key>`")
        scheme, _, text = header.partition(" ")
        key = parse_api_key(text.strip()) if scheme.lower() == "bearer" else None
        found = self._look_up(key.key_id) if key is not None else None
        if key is None or found is None or not hmac.compare_digest(found[0], key.digest(self._pepper)):
            raise ServiceError(Reason.KEY_INVALID, "the API key is not valid")
        if found[2]:
            raise ServiceError(Reason.KEY_REVOKED, "the API key was revoked")
        return found[1]

    def _look_up(self, key_id: str) -> tuple[bytes, Principal, bool] | None:
        with self._lock:
            version = (self._database.execute("PRAGMA data_version").fetchone()[0], self._database.total_changes)
            if version != self._seen_version:  # this or another process wrote something
                self._principals.clear()
                self._seen_version = version
            found = self._principals.get(key_id)
            if found is None:
                query = (
                    "SELECT digest, tenant_uid, scopes, revoked_ms, max_requests_per_s FROM api_keys"
                    " JOIN tenants ON uid = tenant_uid WHERE key_id = ?"
                )
                row = self._database.execute(query, (key_id,)).fetchone()
                if row is None:
                    return None
                found = (bytes(row[0]), Principal(row[1], key_id, _scopes(row[2]), row[4]), row[3] is not None)
                self._principals[key_id] = found
            return found


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(s) for s in text.split(","))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
