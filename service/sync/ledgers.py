"""The ledgers of all tenants that have one, opened when they are needed."""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path

from index import AfterimageIndexError, DataDirectory, DataFault
from index.storage import DatabaseError
from service.sync.feed_input.feed_files import FeedFiles
from service.sync.feed_input.fetching import FeedPlace
from service.sync.ledger import Ledger
from service.tenancy.limits import Limits
from service.tenancy.registry import TenantRegistry

_LOG = logging.getLogger(__name__)


class Ledgers:
    """Any number of threads may call any method at once."""

    def __init__(
        self, data: DataDirectory, registry: TenantRegistry, feeds_dir: Path | None, max_picture_bytes: int
    ) -> None:
        self._data, self._registry = data, registry
        self._feeds_dir, self._max_picture_bytes = feeds_dir, max_picture_bytes
        self._lock = threading.Lock()
        self._open: dict[str, Ledger] = {}

    def of(self, tenant_uid: str) -> Ledger:
        """The tenant's ledger, made where there is none. Raises TenancyError where the tenant is gone."""
        with self._lock:
            found = self._open.get(tenant_uid)
            if found is None:
                found = Ledger(self._data.tenant(tenant_uid).sync, self.data_key(tenant_uid))
                self._open[tenant_uid] = found
            return found

    def of_if_any(self, tenant_uid: str) -> Ledger | None:
        """The tenant's ledger; None where it has none. Raises TenancyError where the tenant is gone, DataFault where
        something is wrong with its files."""
        return self.of(tenant_uid) if self._data.tenant(tenant_uid).sync.exists() else None

    def existing(self) -> list[tuple[str, Ledger]]:
        """Those of all tenants that have one and are served; those of deleted tenants are closed."""
        uids = [t.uid for t in self._registry.tenants()]
        with self._lock:
            for gone in self._open.keys() - set(uids):
                self._open.pop(gone).close()
        found = []
        for uid in uids:
            with contextlib.suppress(DataFault):  # told by whoever found it
                if (ledger := self.of_if_any(uid)) is not None:
                    found.append((uid, ledger))
        return found

    def uids(self) -> list[str]:
        """Of all tenants of this server."""
        return [t.uid for t in self._registry.tenants()]

    def data_key(self, tenant_uid: str) -> bytes:
        """The tenant's data key. Raises TenancyError."""
        return self._registry.data_key(tenant_uid)

    def limits(self, tenant_uid: str) -> Limits:
        """What the tenant may do."""
        return self._registry.limits.of(tenant_uid)

    def place(self, tenant_uid: str) -> FeedPlace:
        """Where the tenant's feeds may come from, and where they lie meanwhile. Raises TenancyError."""
        name = next((t.name for t in self._registry.tenants() if t.uid == tenant_uid), "")
        root = self._feeds_dir / name if self._feeds_dir is not None and name else None
        files = FeedFiles(root, self._max_picture_bytes)
        return FeedPlace(self._data.tenant(tenant_uid).staging, files, self._registry.fetch_hosts(tenant_uid))

    def note_progress(self) -> None:
        """Notes in the manifests of tenants how far what is open has come. Failures are logged; the notes of before
        hold."""
        with self._lock:
            opened = list(self._open.values())
        for one in opened:
            try:
                one.note_progress()
            except (AfterimageIndexError, DatabaseError) as error:
                _LOG.warning("could not update a manifest: %s", error)

    def close(self) -> None:
        """Closes all."""
        with self._lock:
            for ledger in self._open.values():
                ledger.close()
            self._open.clear()
