"""Tenants that are not served because their files are damaged, with the cause."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Protocol

from index import AfterimageIndexError, DataDirectory, DataFault, deep_faults, file_faults, open_manifest

_LOG = logging.getLogger(__name__)


class Keys(Protocol):
    """The methods of the registry that are used here."""

    def data_key_for_repair(self, uid: str) -> bytes:
        """A tenant's data key."""

    def least_generation(self, uid: str) -> int:
        """The lowest generation that its manifest can have; 0 if its directory has no manifest."""

    def note_generations(self, generations: Mapping[str, int]) -> None:
        """Stores which generations the manifests of tenants have reached."""


class TenantFaults:
    """All methods are thread-safe. A fault persists until the process ends."""

    def __init__(self, data: DataDirectory, keys: Keys) -> None:
        self._data, self._keys = data, keys
        self._lock = threading.Lock()
        self._found: dict[str, DataFault | None] = {}
        self._noted: dict[str, int] = {}  # when the manifests were changed whose generations are stored

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

    def older(self, uid: str) -> DataFault | None:
        """The fault if a tenant's directory, or its manifest alone, is an older copy. Raises AfterimageIndexError."""
        layout, least = self._data.tenant(uid), self._keys.least_generation(uid)
        generation = open_manifest(layout, self._keys.data_key_for_repair(uid)).generation()
        if generation >= least:
            return None
        problem = f"is an older copy: its generation is {generation}, the registry has noted {least}"
        return DataFault(layout.manifest, problem)

    def note_generations(self, uids: Iterable[str]) -> None:
        """Stores how far the manifests of tenants have come, so that an older copy of a whole directory is noticed.

        Skips manifests that have not changed since the last call. Failures are logged; the next call tries again.
        """
        found, times = {}, {}
        for uid in uids:
            layout = self._data.tenant(uid)
            try:
                changed_ns = layout.manifest.stat().st_mtime_ns
                if self._noted.get(uid) != changed_ns:
                    key = self._keys.data_key_for_repair(uid)
                    found[uid], times[uid] = open_manifest(layout, key, must_exist=True).generation(), changed_ns
            except (OSError, AfterimageIndexError) as error:
                _LOG.warning("could not note the state of a tenant's manifest: %s", error)
        if found:
            self._keys.note_generations(found)
            self._noted.update(times)

    def all(self) -> dict[str, DataFault]:
        """The faults found so far, by tenant uid."""
        with self._lock:
            return {uid: fault for uid, fault in self._found.items() if fault is not None}

    def _look(self, uid: str) -> DataFault | None:
        layout, key, least = (
            self._data.tenant(uid),
            self._keys.data_key_for_repair(uid),
            self._keys.least_generation(uid),
        )
        try:
            manifest = open_manifest(layout, key, must_exist=least > 0)
            if not least:
                self._keys.note_generations({uid: manifest.generation()})
            return self.older(uid) or next(file_faults(layout, manifest.things()), None)
        except DataFault as fault:
            return fault
        except AfterimageIndexError as error:
            return DataFault(layout.root, f"cannot be opened: {error}")
