"""The folder of a model that an operator brings: where it lies, and how it is written."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.output import CommandError, Exit

if TYPE_CHECKING:
    from service.encoder.manifest import StrictSpec


@dataclass(frozen=True)
class ModelFolder:
    """folder: where the model lies, or would lie. manifest_name: of its manifest. file: the ONNX file that was brought.
    content: the model, where it had to be changed; None: a copy of the file."""

    folder: Path
    manifest_name: str
    file: Path
    content: bytes | None

    def check_free(self, *, force: bool, reason: str) -> None:
        """Raises CommandError where a manifest is there already, unless it may be replaced."""
        manifest = self.folder / self.manifest_name
        if manifest.exists() and not force:
            raise CommandError(f"{manifest} exists; pass --force to replace it", reason=reason)

    def write_model(self, name: str) -> None:
        """Writes the model first: servers skip a folder without a manifest. Raises OSError."""
        model = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.content is not None:
            model.write_bytes(self.content)
        elif model.resolve() != self.file.resolve():
            shutil.copyfile(self.file, model)

    def write_manifest(self, manifest: StrictSpec) -> None:
        """Writes what the manifest states, at once or not at all. Raises OSError."""
        temporary = self.folder / f"{self.manifest_name}.new"
        temporary.write_text(json.dumps(manifest.model_dump(mode="json", exclude_unset=True), indent=2) + "\n")
        temporary.replace(self.folder / self.manifest_name)


def target_folder(file: Path, model_id: str, directory: Path | None) -> Path:
    """A folder of the directory of models; that of the file, where it lies in one already, or there is no directory."""
    if directory is None or file.resolve().parent.parent == directory.resolve():
        return file.parent
    return directory / model_id


def size_of(text: str) -> tuple[int, int] | None:
    """Height and width in pixels from `224` or `256x192`; None from nothing. Raises CommandError."""
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text)
    if found is None:
        raise CommandError("--size must be a number of pixels, or height x width: 224, 256x192", code=Exit.USAGE)
    height = int(found[1])
    return height, int(found[2] or height)
