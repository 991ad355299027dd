"""Which encoders this server has: the built-in one, those dropped into the encoders directory, and models of tenants'
own, which exist for their owner alone."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.encoder.contract import Encoder
from service.encoder.drawn.samples import FILE_NAME, FOLDER, DrawnSamples, read_samples
from service.encoder.execution import Hardware, LoadedEncoder, load_encoder
from service.encoder.kinds import check_kind, load_kind
from service.encoder.manifest import MANIFEST_NAME, OWN_PREFIX, Manifest, ScoreSpec, read_manifest
from service.encoder.session import check_provider
from service.errors import Reason, ServiceError, SettingError

BUILTIN_FOLDER = Path(__file__).parent / "builtin"
_LOG = logging.getLogger(__name__)
_EARLIER_FOLDER = Path(__file__).parent / "earlier"


@dataclass(frozen=True)
class OwnEncoder:
    """A model of a tenant's own. read: gives its file's content, decrypted."""

    manifest: Manifest
    read: Callable[[], bytes]


class EncoderRegistry:
    """Manifests are read, and checksums checked, at the start; a model is loaded when it is first used."""

    def __init__(self, encoders_dir: Path | None, default_id: str, hardware: Hardware) -> None:
        """`left_out`: folders of encoders_dir without a manifest. Raises SettingError where a manifest or a file
        of drawn samples is wrong, two share an id, the default does not exist, or ONNX Runtime lacks the provider."""
        check_provider(hardware.provider)
        self._hardware = hardware
        self._lock, self._own_lock = threading.Lock(), threading.Lock()  # the first is held while a model is loaded
        self._loaded: dict[tuple[str, str], LoadedEncoder] = {}
        self._found: dict[str, tuple[Path, Manifest]] = {}
        self._pinned: dict[tuple[str, str], tuple[Path, Manifest]] = {}
        self._own: dict[str, dict[str, OwnEncoder]] = {}
        self._drawn: dict[tuple[str, str], DrawnSamples] = {}
        for folder in _folders(_EARLIER_FOLDER):
            self._remember(folder, read_manifest(folder))
        for folder in [BUILTIN_FOLDER, *_folders(encoders_dir)]:
            manifest = read_manifest(folder)
            check_kind(manifest)
            if manifest.is_own:
                raise SettingError(f"{folder}: ids that start with {OWN_PREFIX!r} are reserved for tenants' own models")
            if manifest.id in self._found:
                raise SettingError(f"{folder}: another encoder has the id {manifest.id!r}; change one of them")
            self._found[manifest.id] = (folder, manifest)
            self._remember(folder, manifest)
        self.left_out = _without_manifest(encoders_dir)
        for folder in self.left_out:
            _LOG.warning("encoders_dir: skipped %s, which has no %s", folder, MANIFEST_NAME)
        if default_id not in self._found:
            raise SettingError.about(
                "default_encoder", f"no encoder {default_id!r}; available: {', '.join(sorted(self._found))}"
            )
        self.default_id = default_id

    def manifests(self) -> list[Manifest]:
        """All manifests, ordered by id."""
        return [manifest for _, (_, manifest) in sorted(self._found.items())]

    def manifest(self, encoder_id: str, owner: str = "") -> Manifest:
        """The manifest of one encoder; empty means the default. `owner`: the tenant whose own models count, too. Raises
        ServiceError (ENCODER_UNKNOWN)."""
        own = self._own.get(owner, {})
        if encoder_id in own:
            return own[encoder_id].manifest
        found = self._found.get(encoder_id or self.default_id)
        if found is None:
            message = f"no encoder {encoder_id!r}; available: {', '.join(sorted({*self._found, *own}))}"
            raise ServiceError(Reason.ENCODER_UNKNOWN, message, field="encoder_id")
        return found[1]

    def pinned(self, encoder_id: str, fingerprint: str, owner: str = "") -> Manifest | None:
        """The manifest of the encoder that makes exactly these vectors, where there is one: earlier versions of the
        built-in encoder are kept, so that collections made with them go on working. `owner`: as in `manifest`."""
        own = self._own.get(owner, {}).get(encoder_id)
        if own is not None and own.manifest.fingerprint == fingerprint:
            return own.manifest
        found = self._pinned.get((encoder_id, fingerprint))
        return found[1] if found else None

    def adopt(self, owner: str, own: OwnEncoder) -> None:
        """Takes over a model of a tenant's own, for that tenant alone."""
        with self._own_lock:
            self._own = {**self._own, owner: {**self._own.get(owner, {}), own.manifest.id: own}}

    def disown(self, owner: str, encoder_id: str = "") -> list[Manifest]:
        """Forgets a model of a tenant's own, or all of them; returns what is to be taken out of memory."""
        with self._own_lock:
            left = {i: o for i, o in self._own.get(owner, {}).items() if encoder_id not in ("", i)}
            gone = [o.manifest for i, o in self._own.get(owner, {}).items() if i not in left]
            self._own = {**self._own, owner: left}
            return gone

    def unload(self, encoder_id: str, fingerprint: str) -> None:
        """Takes a model out of memory; the next use loads it again."""
        with self._lock:
            self._loaded.pop((encoder_id, fingerprint), None)

    def content(self, manifest: Manifest) -> bytes:
        """The model's file. Raises OSError, or what reading an own model raises."""
        source = self._source(manifest)
        return source if isinstance(source, bytes) else (source / manifest.model).read_bytes()

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
                source = self._source(manifest)
                self._loaded[key] = load_encoder(
                    lambda threads: load_kind(source, manifest, threads, self._hardware.provider), self._hardware
                )
            return self._loaded[key]

    def session(self, manifest: Manifest) -> Encoder:
        """As `load`, where only vectors are wanted."""
        return self.load(manifest).encoder

    def folder(self, manifest: Manifest) -> Path:
        """Where the encoder lies."""
        return self._pinned[manifest.id, manifest.fingerprint][0]

    def session_with(self, manifest: Manifest, threads: int) -> Encoder:
        """A session of its own, with so many threads. Raises SettingError."""
        folder, found = self._pinned[manifest.id, manifest.fingerprint]
        return load_kind(folder, found, threads, self._hardware.provider)

    def drawn_samples(self, manifest: Manifest) -> DrawnSamples | None:
        """The vectors that an encoder gives drawn pictures; None where nobody has measured them."""
        return self._drawn.get((manifest.id, manifest.fingerprint))

    def write_score(self, manifest: Manifest, score: ScoreSpec) -> None:
        """Puts a calibration into an encoder's manifest file. Servers that run see it at their next start.

        Raises SettingError for the built-in encoder, whose manifest belongs to the package.
        """
        folder, _ = self._pinned[manifest.id, manifest.fingerprint]
        if folder == BUILTIN_FOLDER:
            raise SettingError("the built-in encoder is already calibrated; its manifest cannot be changed")
        path = folder / MANIFEST_NAME
        content = {**json.loads(path.read_bytes()), "score": score.model_dump()}
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(path)

    def _source(self, manifest: Manifest) -> Path | bytes:
        found = self._pinned.get((manifest.id, manifest.fingerprint))
        if found is not None:
            return found[0]
        for own in self._own.values():
            held = own.get(manifest.id)
            if held is not None and held.manifest.fingerprint == manifest.fingerprint:
                return held.read()
        raise ServiceError(Reason.ENCODER_MISSING, f"the model {manifest.id!r} was deleted")

    def _remember(self, folder: Path, manifest: Manifest) -> None:
        key = manifest.id, manifest.fingerprint
        self._pinned[key] = (folder, manifest)
        for path in (FOLDER / f"{manifest.fingerprint}.npz", folder / FILE_NAME):
            samples = read_samples(path, manifest.output.dimension)
            if samples is not None:
                self._drawn[key] = samples


def _folders(encoders_dir: Path | None) -> list[Path]:
    if encoders_dir is None:
        return []
    if not encoders_dir.is_dir():
        raise SettingError.about("encoders_dir", f"{encoders_dir} is not a directory; create it or unset the setting")
    return sorted(p for p in encoders_dir.iterdir() if (p / MANIFEST_NAME).is_file())


def _without_manifest(encoders_dir: Path | None) -> tuple[Path, ...]:
    if encoders_dir is None:
        return ()
    hidden = (p for p in encoders_dir.iterdir() if p.is_dir() and not p.name.startswith("."))
    return tuple(sorted(p for p in hidden if not (p / MANIFEST_NAME).is_file()))
