"""The tenants with their names, data keys, limits and API keys, in `registry.db`."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from index import (
    AfterimageIndexError,
    DatabaseSharing,
    DataDirectory,
    DataFault,
    ErasingServers,
    StoreUnavailable,
    new_uid,
    open_manifest,
)
from index.storage import KEY_BYTES, DatabaseError
from service.errors import SettingError
from service.runtime.clock import now_ms
from service.tenancy.access import AccessRequests
from service.tenancy.companions import note_number, noted_number
from service.tenancy.database import RegistryDatabase, TenancyError
from service.tenancy.faults import TenantFaults
from service.tenancy.keyring import KeyRing
from service.tenancy.limits import LimitsTable, ReadAudit
from service.tenancy.masterkey import MasterKey

_LOG = logging.getLogger(__name__)
SECRET_OWNER = "secret: "  # noqa: S105 - the owner to which a wrapped secret is bound
_PEPPER = "api key digests"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Tenant:
    """A tenant.

    - `uid`: the name of its directory.
    - `name`: for people. It may be used again after deletion.
    - `region`: where its data must be; empty: anywhere.
    """

    uid: str
    name: str
    created_ms: int
    region: str = ""


class TenantRegistry:
    """The registry. All methods are thread-safe.

    - `api_keys`: the keys of all tenants.
    - `limits`: their limits.
    - `access`: access requests of the operator.
    - `read_audit`: whether reads are audited.
    """

    def __init__(self, path: Path, master_key: MasterKey, sharing: DatabaseSharing | None = None) -> None:
        """Opens the registry, or creates it in a new data directory. `sharing`: with the other servers; it is closed
        with the registry.

        Raises WrongKey if the master key does not match, DataFault if the file is missing, damaged or an older copy,
        and StoreUnavailable if the servers' database cannot be used.
        """
        self._master_key, self._sharing = master_key, sharing
        self._data = DataDirectory(path.parent)
        self._database = RegistryDatabase(path, master_key, sharing)
        self.faults = TenantFaults(self._data, self)
        try:
            self._check_newest(path)
        except BaseException:
            self._database.close()
            raise
        self.api_keys = KeyRing(self._database, self._pepper())
        self.limits = LimitsTable(self._database)
        self.access = AccessRequests(self._database, self.api_keys)
        self.read_audit = ReadAudit(self._database)

    def _check_newest(self, path: Path) -> None:
        """Raises DataFault if tenants' manifests contain a higher registry number."""
        # In this order: another process raises the number first, and then notes it in the manifests.
        noted = noted_number(self._data, self._uids(), self._unwrapped)
        number = self._database.number()
        if number < noted:
            raise DataFault(path, f"is an older copy: its number is {number}, the manifest has {noted}")

    def _uids(self) -> list[str]:
        return [t.uid for t in self.tenants()]

    def watch(self) -> None:
        """Follows other servers from now on."""
        self._database.watch()

    def servers(self, name: str) -> ErasingServers | None:
        """The servers that share the tenants; None: there are no others. `name`: of this one."""
        return self._database.servers(name)

    def detach(self) -> None:
        """Makes this registry the truth, and deletes the shared one. Raises StoreUnavailable or StoreDamaged."""
        self._database.detach()

    def differences(self) -> list[str]:
        """How the registry differs from the shared one, a line each. Raises StoreUnavailable."""
        return self._database.differences()

    def note_progress(self) -> None:
        """Updates the standby copy and the manifests after changes by this process.

        Failures are logged. The next change tries again.
        """
        try:
            number = self._database.settle_changes()
            if number is not None:
                note_number(self._data, self._uids(), self._unwrapped, number)
        except (OSError, AfterimageIndexError, DatabaseError, SettingError) as error:
            _LOG.warning("could not update the copy of the registry: %s", error)

    def secret(self, name: str) -> bytes:
        """A random secret of this deployment, 32 bytes, created on first use.

        It survives a change of the master key.
        """
        return self._secret(name, os.urandom(KEY_BYTES))

    def _pepper(self) -> bytes:
        """The key of API key digests. Registries of older versions derived it from the master key."""
        keys = self._database.row("SELECT 1 FROM api_keys")
        return self._secret(_PEPPER, self._master_key.derive("api key digests") if keys else os.urandom(KEY_BYTES))

    def _secret(self, name: str, fresh: bytes) -> bytes:
        query = "SELECT wrapped FROM secrets WHERE name = ?"
        row = self._database.row(query, (name,))
        if row is None:
            with self._database.transaction():
                row = self._database.row(query, (name,))  # another process or server may have been first
                if row is None:
                    wrapped = self._master_key.wrap(fresh, SECRET_OWNER + name)
                    self._database.change("INSERT INTO secrets VALUES (?, ?)", (name, wrapped))
                    return fresh
        return self._master_key.unwrap(bytes(row[0]), SECRET_OWNER + name)

    def close(self) -> None:
        """Stores pending data, and closes the database."""
        self.api_keys.note_uses()
        self.note_progress()
        self._database.close()
        if self._sharing is not None:
            self._sharing.close()

    def create_tenant(
        self, name: str, region: str = "", announce: Callable[[str, bytes], object] = lambda uid, data_key: None
    ) -> Tenant:
        """Creates a tenant with its own data key.

        - `region`: the only region whose servers may serve it.
        - `announce`: called with uid and data key before the tenant becomes visible.

        Raises TenancyError.
        """
        if not _NAME.fullmatch(name):
            raise TenancyError(f"tenant name {name[:80]!r} does not match [a-z0-9][a-z0-9_-]{{0,62}}")
        uid, created_ms, data_key = new_uid(), now_ms(), os.urandom(KEY_BYTES)
        wrapped = self._master_key.wrap(data_key, uid)
        if self._database.row("SELECT 1 FROM tenants WHERE name = ?", (name,)):
            raise TenancyError(f"tenant {name!r} exists")
        open_manifest(self._data.tenant(uid), data_key)  # before the tenant becomes visible
        announce(uid, data_key)
        with self._database.transaction():
            if self._database.row("SELECT 1 FROM tenants WHERE name = ?", (name,)):
                raise TenancyError(f"tenant {name!r} exists")
            self._database.change(
                "INSERT INTO tenants (uid, name, wrapped_key, created_ms, region, listed) VALUES (?, ?, ?, ?, ?, 1)",
                (uid, name, wrapped, created_ms, region),
            )
        return Tenant(uid, name, created_ms, region)

    def tenants(self) -> list[Tenant]:
        """All tenants, ordered by name."""
        query = "SELECT uid, name, created_ms, region FROM tenants WHERE deleted_ms IS NULL ORDER BY name"
        return [Tenant(*row) for row in self._database.rows(query)]

    def tenant(self, name: str) -> Tenant:
        """One tenant. Raises TenancyError."""
        row = self._database.row("SELECT uid, name, created_ms, region FROM tenants WHERE name = ?", (name,))
        if row is None:
            raise TenancyError(f"no tenant {name!r}")
        return Tenant(*row)

    def region(self, uid: str) -> str:
        """Returns the region in which a tenant's data must be; empty: any."""
        row = self._database.row("SELECT region FROM tenants WHERE uid = ?", (uid,))
        return str(row[0]) if row else ""

    def set_fetch_hosts(self, name: str, hosts: Iterable[str] | None) -> None:
        """Sets the hosts from which the tenant may fetch, as `shop.example` or `*.shop.example`; None: any public
        host.

        Raises TenancyError.
        """
        stored = None if hosts is None else "\n".join(sorted(set(hosts)))
        self._database.change("UPDATE tenants SET fetch_hosts = ? WHERE uid = ?", (stored, self.tenant(name).uid))

    def fetch_hosts(self, uid: str) -> frozenset[str] | None:
        """The hosts that `set_fetch_hosts` set, by the tenant's uid."""
        row = self._database.row("SELECT fetch_hosts FROM tenants WHERE uid = ?", (uid,))
        return None if row is None or row[0] is None else frozenset(row[0].split())

    def delete_tenant(self, name: str) -> Tenant:
        """Destroys the tenant's data key, which makes its copies and backups unreadable. Its API keys are refused
        immediately.

        The owner of the data directory removes the files. Raises TenancyError.
        """
        tenant = self.tenant(name)
        with self._database.transaction():
            keys = "SELECT key_id FROM api_keys WHERE tenant_uid = ?"
            self._database.change(f"DELETE FROM identities WHERE key_id IN ({keys})", (tenant.uid,))  # noqa: S608
            for table in ("api_keys", "access_requests"):
                self._database.change(f"DELETE FROM {table} WHERE tenant_uid = ?", (tenant.uid,))  # noqa: S608
            self._database.change(
                "UPDATE tenants SET name = NULL, wrapped_key = NULL, deleted_ms = ? WHERE uid = ?",
                (now_ms(), tenant.uid),
            )
        self._database.checkpoint()
        self.note_progress()  # removes its key from the copy too
        self._forget_shared(tenant.uid)
        return tenant

    def _forget_shared(self, uid: str) -> None:
        try:
            if self._sharing is not None:
                self._sharing.forget(uid)
        except StoreUnavailable as error:
            _LOG.warning("the rows of a deleted tenant are still in PostgreSQL; a server will delete them: %s", error)

    def deleted_uids(self) -> list[str]:
        """Uids of deleted tenants, whose files must be removed."""
        return [row[0] for row in self._database.rows("SELECT uid FROM tenants WHERE deleted_ms IS NOT NULL")]

    def data_key(self, uid: str) -> bytes:
        """A tenant's data key, 32 bytes.

        Raises TenancyError if the tenant does not exist, and DataFault if it is not served because its files are
        damaged.
        """
        key = self._unwrapped(uid)
        self.faults.check(uid)
        return key

    def data_key_for_repair(self, uid: str) -> bytes:
        """A tenant's data key, even if its files are damaged."""
        return self._unwrapped(uid)

    def _unwrapped(self, uid: str) -> bytes:
        return self._master_key.unwrap(self.wrapped_key(uid), uid)

    def least_generation(self, uid: str) -> int:
        """The lowest generation that the tenant's manifest can have; 0 if its directory has no manifest.

        The manifest is created with the tenant, or at first use for tenants of older versions.
        """
        row = self._database.row("SELECT listed FROM tenants WHERE uid = ?", (uid,))
        return int(row[0]) if row else 0

    def note_generations(self, generations: Mapping[str, int]) -> None:
        """Stores which generations the manifests of tenants have reached, by uid."""
        self._database.note_generations(generations)

    def wrapped_key(self, uid: str) -> bytes:
        """A tenant's data key as wrapped by the master key. Raises TenancyError if the tenant does not exist."""
        row = self._database.row("SELECT wrapped_key FROM tenants WHERE uid = ?", (uid,))
        if row is None or row[0] is None:
            raise TenancyError("the tenant no longer exists")
        return bytes(row[0])
