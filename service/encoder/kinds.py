"""The kinds of encoders: which class a manifest's `kind` names. A new kind is one class and one entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from service.encoder.contract import Encoder
from service.encoder.manifest import VECTORS, Manifest
from service.encoder.text.two_towers import load_towers
from service.errors import SettingError

# Folder or content of the model, manifest, threads of one run, execution provider.
Load = Callable[[Path | bytes, Manifest, int, str], Encoder]


def _no_model(source: Path | bytes, manifest: Manifest, threads: int, provider: str) -> Encoder:
    raise SettingError(f"encoder {manifest.id} has no model: its collections take vectors, not pictures")


KINDS: Mapping[str, Load] = {"onnx": load_towers, VECTORS: _no_model}


def check_kind(manifest: Manifest) -> None:
    """Raises SettingError where no encoder is of the manifest's kind."""
    if manifest.kind not in KINDS:
        kinds = ", ".join(sorted(KINDS))
        raise SettingError(f"encoder {manifest.id}: unknown kind {manifest.kind!r}; kinds are {kinds}")


def load_kind(source: Path | bytes, manifest: Manifest, threads: int, provider: str = "cpu") -> Encoder:
    """An encoder in memory. Raises SettingError where its kind is unknown, or it does not load."""
    check_kind(manifest)
    return KINDS[manifest.kind](source, manifest, threads, provider)
