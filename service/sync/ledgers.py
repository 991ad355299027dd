"""The ledgers of all tenants, opened on first use."""

from __future__ import annotations

import logging
from pathlib import Path

from index import AfterimageIndexError, DataDirectory, DataFault
from service.runtime.clock import SYSTEM_CLOCK, Clock
from service.sync.feed_input.feed_files import FeedFiles
from service.sync.feed_input.fetching import FeedPlace
from service.sync.ledger import Ledger
from service.tenancy.limits import Limits
from service.tenancy.per_tenant import PerTenant, note_progress_of
from service.tenancy.registry import TenantRegistry

_LOG = logging.getLogger(__name__)


class Ledgers:
    """All methods are thread-safe."""

    def __init__(
        self, data: DataDirectory, registry: TenantRegistry, feeds_dir: Path | None, max_picture_bytes: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:  # fmt: skip
        self._data, self._registry = data, registry
        self._feeds_dir, self._max_picture_bytes = feeds_dir, max_picture_bytes
        self._open = PerTenant(lambda uid: Ledger(data.tenant(uid).sync, registry.data_key(uid), clock))

    def of(self, tenant_uid: str) -> Ledger:
        """The tenant's ledger, created if there is none. Raises TenancyError if the tenant does not exist."""
        return self._open.of(tenant_uid)

    def of_if_any(self, tenant_uid: str) -> Ledger | None:
        """The tenant's ledger; None if it has none.

        Raises TenancyError if the tenant does not exist, and DataFault if its files are damaged.
        """
        return self.of(tenant_uid) if self._data.tenant(tenant_uid).sync.exists() else None

    def existing(self) -> list[tuple[str, Ledger]]:
        """Returns the ledgers of all served tenants that have one. Closes those of deleted tenants."""
        uids = [t.uid for t in self._registry.tenants()]
        for ledger in self._open.take({uid for uid, _ in self._open.items()} - set(uids)).values():
            ledger.close()
        found = []
        for uid in uids:
            try:
                if (found_one := self.of_if_any(uid)) is not None:
                    found.append((uid, found_one))
            except DataFault:
                continue  # reported where it was detected
            except AfterimageIndexError as error:  # the other tenants' can be used
                _LOG.warning("could not open a sync.db: %s", error)
        return found

    def uids(self) -> list[str]:
        """The uids of all tenants of this server."""
        return [t.uid for t in self._registry.tenants()]

    def data_key(self, tenant_uid: str) -> bytes:
        """The tenant's data key. Raises TenancyError."""
        return self._registry.data_key(tenant_uid)

    def limits(self, tenant_uid: str) -> Limits:
        """The tenant's limits."""
        return self._registry.limits.of(tenant_uid)

    def place(self, tenant_uid: str) -> FeedPlace:
        """Where the tenant's feeds may come from, and where they are spooled. Raises TenancyError."""
        name = next((t.name for t in self._registry.tenants() if t.uid == tenant_uid), "")
        root = self._feeds_dir / name if self._feeds_dir is not None and name else None
        files = FeedFiles(root, self._max_picture_bytes)
        return FeedPlace(self._data.tenant(tenant_uid).staging, files, self._registry.fetch_hosts(tenant_uid))

    def note_progress(self) -> None:
        """Records the state of open ledgers in the manifests of their tenants.

        Failures are logged, and the previous entries remain valid.
        """
        note_progress_of(self._open.items())

    def close(self) -> None:
        """Closes all ledgers."""
        for one in self._open.take_all().values():
            one.close()
