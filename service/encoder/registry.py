"""Which encoders this server has: the built-in one, and those dropped into the encoders directory."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from service.encoder.execution import Hardware, LoadedEncoder, load_encoder
from service.encoder.manifest import MANIFEST_NAME, Manifest, ScoreSpec, read_manifest
from service.encoder.session import EncoderSession, check_provider
from service.errors import Reason, ServiceError, SettingError

BUILTIN_FOLDER = Path(__file__).parent / "builtin"
_EARLIER_FOLDER = Path(__file__).parent / "earlier"


class EncoderRegistry:
    """Manifests are read, and checksums checked, at the start; a model is loaded when it is first used."""

    def __init__(self, encoders_dir: Path | None, default_id: str, hardware: Hardware) -> None:
        """Raises SettingError where a manifest is wrong, two share an id, the default does not exist, or ONNX Runtime
        lacks the provider."""
        check_provider(hardware.provider)
        self._hardware = hardware
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, str], LoadedEncoder] = {}
        self._found: dict[str, tuple[Path, Manifest]] = {}
        self._pinned: dict[tuple[str, str], tuple[Path, Manifest]] = {}
        for folder in _folders(_EARLIER_FOLDER):
            self._remember(folder, read_manifest(folder))
        for folder in [BUILTIN_FOLDER, *_folders(encoders_dir)]:
            manifest = read_manifest(folder)
            if manifest.id in self._found:
                raise SettingError(f"{folder}: another encoder has the id {manifest.id!r}; change one of them")
            self._found[manifest.id] = (folder, manifest)
            self._remember(folder, manifest)
        if default_id not in self._found:
            raise SettingError(
                f"default_encoder: no encoder {default_id!r}; there are {', '.join(sorted(self._found))}"
            )
        self.default_id = default_id

    def manifests(self) -> list[Manifest]:
        """All manifests, ordered by id."""
        return [manifest for _, (_, manifest) in sorted(self._found.items())]

    def manifest(self, encoder_id: str) -> Manifest:
        """The manifest of one encoder; empty means the default. Raises ServiceError (ENCODER_UNKNOWN)."""
        found = self._found.get(encoder_id or self.default_id)
        if found is None:
            message = f"no encoder {encoder_id!r}; there are {', '.join(sorted(self._found))}"
            raise ServiceError(Reason.ENCODER_UNKNOWN, message, field="encoder_id")
        return found[1]

    def pinned(self, encoder_id: str, fingerprint: str) -> Manifest | None:
        """The manifest of the encoder that makes exactly these vectors, where there is one: earlier versions of the
        built-in encoder are kept, so that collections made with them go on working."""
        found = self._pinned.get((encoder_id, fingerprint))
        return found[1] if found else None

    @property
    def fingerprints(self) -> frozenset[str]:
        """Of all encoders that are here."""
        return frozenset(fingerprint for _, fingerprint in self._pinned)

    def load(self, manifest: Manifest) -> LoadedEncoder:
        """One of the registry's encoders in memory, with how it runs best here; loads and measures it on first use,
        once. Raises SettingError."""
        key = (manifest.id, manifest.fingerprint)
        with self._lock:
            if key not in self._loaded:
                folder, found = self._pinned[key]
                self._loaded[key] = load_encoder(
                    lambda threads: EncoderSession(folder, found, threads, self._hardware.provider), self._hardware
                )
            return self._loaded[key]

    def session(self, manifest: Manifest) -> EncoderSession:
        """As `load`, where only vectors are wanted."""
        return self.load(manifest).session

    def folder(self, manifest: Manifest) -> Path:
        """Where the encoder lies."""
        return self._pinned[manifest.id, manifest.fingerprint][0]

    def session_with(self, manifest: Manifest, threads: int) -> EncoderSession:
        """A session of its own, with so many threads. Raises SettingError."""
        folder, found = self._pinned[manifest.id, manifest.fingerprint]
        return EncoderSession(folder, found, threads, self._hardware.provider)

    def write_score(self, manifest: Manifest, score: ScoreSpec) -> None:
        """Puts a calibration into an encoder's manifest file. Servers that run see it at their next start.

        Raises SettingError for the built-in encoder, whose manifest belongs to the package.
        """
        folder, _ = self._pinned[manifest.id, manifest.fingerprint]
        if folder == BUILTIN_FOLDER:
            raise SettingError("the built-in encoder ships calibrated; its manifest is not changed")
        path = folder / MANIFEST_NAME
        content = {**json.loads(path.read_bytes()), "score": score.model_dump()}
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(path)

    def _remember(self, folder: Path, manifest: Manifest) -> None:
        self._pinned[manifest.id, manifest.fingerprint] = (folder, manifest)


def _folders(encoders_dir: Path | None) -> list[Path]:
    if encoders_dir is None:
        return []
    if not encoders_dir.is_dir():
        raise SettingError(f"encoders_dir: {encoders_dir} is not a directory; make it or unset the setting")
    return sorted(p for p in encoders_dir.iterdir() if (p / MANIFEST_NAME).is_file())
