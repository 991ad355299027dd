"""Tenants that are not served because something is wrong with their files, and what it is."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from index import AfterimageIndexError, DataDirectory, DataFault, deep_faults, file_faults, open_manifest

_LOG = logging.getLogger(__name__)


class Keys(Protocol):
    """What the registry knows that is needed here."""

    def data_key_for_repair(self, uid: str) -> bytes:
        """A tenant's data key."""

    def is_listed(self, uid: str) -> bool:
        """Whether its directory has a manifest."""

    def note_listed(self, uid: str) -> None:
        """Notes that it has one."""


class TenantFaults:
    """Any number of threads may call any method at once. What was found once holds until the process ends."""

    def __init__(self, data: DataDirectory, keys: Keys) -> None:
        self._data, self._keys = data, keys
        self._lock = threading.Lock()
        self._found: dict[str, DataFault | None] = {}

    def check(self, uid: str) -> None:
        """Looks at a tenant's files when it is first used: is everything there that its manifest lists? Raises
        DataFault, then and whenever the tenant is used."""
        with self._lock:
            if uid not in self._found:
                self._found[uid] = self._look(uid)
                if self._found[uid] is not None:
                    _LOG.error("tenant %s is not served: %s", uid, self._found[uid])
            fault = self._found[uid]
        if fault is not None:
            raise fault

    def check_deeply(self, uid: str) -> None:
        """The same, and opens each database: is it the newest copy? To be called beside the work, after a start."""
        self.check(uid)
        layout, key = self._data.tenant(uid), self._keys.data_key_for_repair(uid)
        for fault in deep_faults(layout, key, open_manifest(layout, key).things()):
            if not fault.alone:
                self.stop(uid, fault)
            else:
                _LOG.error("tenant %s: %s", uid, fault)

    def stop(self, uid: str, fault: DataFault) -> None:
        """A tenant is not served any more."""
        with self._lock:
            if self._found.get(uid) is None:
                self._found[uid] = fault
                _LOG.error("tenant %s is not served: %s", uid, fault)

    def all(self) -> dict[str, DataFault]:
        """What was found so far, by tenant."""
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
