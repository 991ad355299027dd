"""Which detectors a server has: the built-in one, and those dropped into the directory of detectors."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from service.detector.manifest import MANIFEST_NAME, DetectorManifest, read_detector
from service.detector.session import DetectorSession
from service.encoder.execution import Hardware
from service.errors import Reason, ServiceError, SettingError

BUILTIN = "builtin"
BUILTIN_FOLDER = Path(__file__).parent / BUILTIN
_LOG = logging.getLogger(__name__)


class DetectorRegistry:
    """Manifests are read, and checksums checked, at the start. The model that is used is loaded once."""

    def __init__(self, detectors_dir: Path | None, used: str, hardware: Hardware) -> None:
        """`used`: id of the detector of all calls. Raises SettingError where a manifest or a model is wrong, two share
        an id, or the one that is used does not exist. Only the built-in one may be missing: calls are refused then."""
        self._hardware, self._lock = hardware, threading.Lock()
        self._loaded: DetectorSession | None = None
        self._found: dict[str, tuple[Path, DetectorManifest]] = {}
        builtin = [BUILTIN_FOLDER] if (BUILTIN_FOLDER / MANIFEST_NAME).is_file() else []
        for folder in [*builtin, *_folders(detectors_dir)]:
            manifest = read_detector(folder)
            if manifest.id in self._found:
                raise SettingError(f"{folder}: another detector has the id {manifest.id!r}; change one of them")
            self._found[manifest.id] = (folder, manifest)
        if used not in self._found and used != BUILTIN:
            available = ", ".join(sorted(self._found)) or "none; see detectors_dir"
            raise SettingError.about("detector", f"no detector {used!r}; available: {available}")
        self._used = self._found.get(used)

    def manifests(self) -> list[DetectorManifest]:
        """All manifests, ordered by id."""
        return [manifest for _, (_, manifest) in sorted(self._found.items())]

    def folders(self) -> dict[str, Path]:
        """The folder of each detector, by id."""
        return {detector_id: folder for detector_id, (folder, _) in self._found.items()}

    @property
    def used(self) -> DetectorManifest | None:
        """The manifest of the detector that calls use; None without one."""
        return self._used[1] if self._used else None

    def check(self) -> tuple[Path, DetectorManifest]:
        """The folder and manifest of the detector in use. Raises ServiceError (DETECTOR_MISSING) without one."""
        if self._used is None:
            message = "this server has no detector; put one into detectors_dir and name it in the setting `detector`"
            raise ServiceError(Reason.DETECTOR_MISSING, message)
        return self._used

    def load(self) -> DetectorSession:
        """The detector that calls use, in memory. Blocks on first use. Raises ServiceError (DETECTOR_MISSING) without
        one, and SettingError where it does not load."""
        folder, manifest = self.check()
        with self._lock:
            if self._loaded is None:
                threads = self._hardware.threads or self._hardware.cores
                self._loaded = DetectorSession(folder, manifest, threads, self._hardware.provider)
            return self._loaded


def _folders(detectors_dir: Path | None) -> list[Path]:
    if detectors_dir is None:
        return []
    if not detectors_dir.is_dir():
        raise SettingError.about("detectors_dir", f"{detectors_dir} is not a directory; create it or unset the setting")
    folders = sorted(p for p in detectors_dir.iterdir() if p.is_dir() and not p.name.startswith("."))
    for folder in folders:
        if not (folder / MANIFEST_NAME).is_file():
            _LOG.warning("detectors_dir: skipped %s, which has no %s", folder, MANIFEST_NAME)
    return [folder for folder in folders if (folder / MANIFEST_NAME).is_file()]
