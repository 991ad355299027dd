"""Tenants that are not served because their files are damaged, with the cause."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from index import AfterimageIndexError, DataDirectory, DataFault, deep_faults, file_faults, open_manifest

_LOG = logging.getLogger(__name__)


class Keys(Protocol):
    """The methods of the registry that are used here."""

    def data_key_for_repair(self, uid: str) -> bytes:
        """A tenant's data key."""

    def is_listed(self, uid: str) -> bool:
        """Whether its directory has a manifest."""

    def note_listed(self, uid: str) -> None:
        """Stores that it has one."""


class TenantFaults:
    """All methods are thread-safe. A fault persists until the process ends."""

    def __init__(self, data: DataDirectory, keys: Keys) -> None:
        self._data, self._keys = data, keys
        self._lock = threading.Lock()
        self._found: dict[str, DataFault | None] = {}

    def check(self, uid: str) -> None:
        """Checks on first use that all files in a tenant's manifest exist.

        Raises DataFault, also at every later use.
        """
        with self._lock:
            if uid not in self._found:
                self._found[uid] = self._look(uid)
                if self._found[uid] is not None:
                    _LOG.error("tenant %s is not served: %s", uid, self._found[uid])
            fault = self._found[uid]
        if fault is not None:
            raise fault

    def check_deeply(self, uid: str) -> None:
        """Additionally opens each database and checks that it is the newest copy.

        Call it in the background after a start.
        """
        self.check(uid)
        layout, key = self._data.tenant(uid), self._keys.data_key_for_repair(uid)
        for fault in deep_faults(layout, key, open_manifest(layout, key).things()):
            if not fault.alone:
                self.stop(uid, fault)
            else:
                _LOG.error("tenant %s: %s", uid, fault)

    def stop(self, uid: str, fault: DataFault) -> None:
        """Stops serving a tenant."""
        with self._lock:
            if self._found.get(uid) is None:
                self._found[uid] = fault
                _LOG.error("tenant %s is not served: %s", uid, fault)

    def all(self) -> dict[str, DataFault]:
        """The faults found so far, by tenant uid."""
        with self._lock:
            return {uid: fault for uid, fault in self._found.items() if fault is not None}

    def _look(self, uid: str) -> DataFault | None:
        layout, key, listed = self._data.tenant(uid), self._keys.data_key_for_repair(uid), self._keys.is_listed(uid)
        try:
            manifest = open_manifest(layout, key, must_exist=listed)
            if not listed:
                self._keys.note_listed(uid)
            return next(file_faults(layout, manifest.things()), None)
        except DataFault as fault:
            return fault
        except AfterimageIndexError as error:
            return DataFault(layout.root, f"cannot be opened: {error}")
