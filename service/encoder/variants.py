"""Smaller or faster forms of an encoder of one's own: weights and arithmetic in half precision or in eight bits.

A variant is another encoder: its vectors differ, so it has an id and a fingerprint of its own. Whether it is worth it
depends on the processor and is measured, with what it changes. Needs the package `onnx`, which the server does not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.encoder.contract import picture_vectors
from service.encoder.execution import Hardware, load_encoder
from service.encoder.kinds import load_kind
from service.encoder.manifest import MANIFEST_NAME, Manifest, model_digest, read_manifest
from service.encoder.session import quantized_model
from service.errors import SettingError

LEAST_PICTURES = 32
_WORTH, _FAITHFUL = 1.1, 0.9
_CALIBRATION = 64
Tensors = Sequence[NDArray[np.generic]]
Vectors = NDArray[np.float32]  # (pictures, dimension)


@dataclass(frozen=True)
class Variant:
    """A form of an encoder and what it does here. drift: median cosine distance of its vectors from those of the
    original. same_nearest: share of the pictures whose nearest other picture is the same."""

    name: str
    megabytes: float
    pictures_per_second: float
    drift: float
    same_nearest: float

    def helps(self, original: Variant) -> bool:
        """Whether it does at least a tenth more pictures a second and nearly always finds the same picture first."""
        return self.pictures_per_second >= _WORTH * original.pictures_per_second and self.same_nearest >= _FAITHFUL


@dataclass(frozen=True)
class FailedVariant:
    """A form of an encoder that this machine cannot make or run, and why."""

    name: str
    problem: str


def build_variant(folder: Path, precision: str, tensors: Tensors, target: Path) -> Manifest:
    """Writes a variant of the encoder in `folder` into `target`, with its manifest; int8 is calibrated on `tensors`.

    Raises SettingError where `onnx` is missing, the model cannot be converted, or `target` exists.
    """
    manifest = read_manifest(folder)
    if target.exists():
        raise SettingError(f"{target} exists; remove it to create the variant again")
    calibration = [{manifest.input.name: t[None]} for t in tensors[:_CALIBRATION]]
    content = quantized_model(folder / manifest.model, precision, calibration)
    target.mkdir(parents=True)
    (target / manifest.model).write_bytes(content)
    for name in (manifest.text.model, manifest.text.tokenizer) if manifest.text else ():
        shutil.copyfile(folder / name, target / name)
    stated: dict[str, Any] = json.loads((folder / MANIFEST_NAME).read_text())
    stated |= {"id": f"{manifest.id}-{precision}", "sha256": model_digest(target / manifest.model)}
    (target / MANIFEST_NAME).write_text(json.dumps(stated, indent=2) + "\n")
    return read_manifest(target)


def measure_variants(
    folders: Sequence[Path], tensors: Tensors, hardware: Hardware
) -> tuple[Variant, list[Variant | FailedVariant]]:
    """The encoder in the first folder on this machine, and the others against it; one that cannot run fails alone.

    Raises ValueError for too few pictures, SettingError where the first cannot run.
    """
    if len(tensors) < LEAST_PICTURES:
        raise ValueError(f"{len(tensors)} pictures are too few for a measurement; pass at least {LEAST_PICTURES}")
    original, base = _measured(folders[0], tensors, hardware)
    others: list[Variant | FailedVariant] = []
    for folder in folders[1:]:
        try:
            others.append(_measured(folder, tensors, hardware, base)[0])
        except SettingError as error:
            others.append(FailedVariant(folder.name, str(error)))
    return original, others


def _measured(
    folder: Path, tensors: Tensors, hardware: Hardware, base: Vectors | None = None
) -> tuple[Variant, Vectors]:
    """One encoder beside the vectors of the original, and its own vectors. Raises SettingError."""
    manifest = read_manifest(folder)
    loaded = load_encoder(_loader(folder, manifest, hardware.provider), hardware)
    vectors = np.concatenate([picture_vectors(loaded.encoder, [t]) for t in tensors])
    base = vectors if base is None else base
    size = (folder / manifest.model).stat().st_size / 1e6
    drift = max(0.0, float(np.median(1 - (vectors * base).sum(1))))
    same = float((_nearest(vectors) == _nearest(base)).mean())
    return Variant(manifest.id, size, loaded.execution.pictures_per_second, drift, same), vectors


def _loader(folder: Path, manifest: Manifest, provider: str) -> Any:
    return lambda threads: load_kind(folder, manifest, threads, provider)


def _nearest(vectors: Vectors) -> NDArray[np.intp]:
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -2)
    nearest: NDArray[np.intp] = likeness.argmax(1)
    return nearest
