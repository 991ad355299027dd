"""What `afterimage encoders add` and `afterimage detectors add` share: options, progress, tables, files, the end."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.progress import track

from index.storage import rename, replace_file, synced_file
from service.cli.output import CommandError, Exit, console, end_failed, print_table

if TYPE_CHECKING:
    from service.detector.manifest import DetectorManifest
    from service.encoder.adding.model_file import Guess
    from service.encoder.adding.trial import Checks
    from service.encoder.alterations import Picture
    from service.encoder.manifest import Manifest
    from service.intake.limits import PictureLimits
    from service.settings.model import Settings

T = TypeVar("T")
M = TypeVar("M", "Manifest", "DetectorManifest")


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

    def write(self, manifest: M) -> M:
        """Writes the model, and then the manifest, which makes it the one that is served: whenever this ends, the
        folder has the model of before or the new one, whole. Returns the manifest as it was written. Raises OSError."""
        path = self.folder / self.manifest_name
        before = _model_in(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.content is not None or (self.folder / manifest.model).resolve() != self.file.resolve():
            manifest = manifest.model_copy(update={"model": self._written(manifest)})
        stated = manifest.model_dump(mode="json", exclude_unset=True)
        replace_file(path, (json.dumps(stated, indent=2) + "\n").encode())
        if before and before != manifest.model and (self.folder / before).resolve() != self.file.resolve():
            (self.folder / before).unlink(missing_ok=True)
        return manifest

    def _written(self, manifest: M) -> str:
        """Writes the model beside one of the same name, which the manifest of before may state. Returns its name."""
        name = Path(manifest.model)
        if (self.folder / name).exists():
            name = name.with_stem(f"{name.stem[:200]}-{manifest.sha256[:8]}")
        temporary = self.folder / f".writing-{name}"
        with synced_file(temporary) as file:
            if self.content is not None:
                file.write(self.content)
            else:
                with self.file.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
        rename(temporary, self.folder / name)
        return name.name


@dataclass
class PictureFiles:
    """Decodes picture files one by one, after `prepare_opencv`.

    `failures`: a line for each that could not be used.
    """

    settings: Settings
    failures: list[dict[str, str]] = field(default_factory=list)

    @cached_property
    def _limits(self) -> PictureLimits:
        from service.composition.parts import limits_of

        return limits_of(self.settings)

    def decoded(self, path: Path) -> Picture | None:
        """The pixels of a file, uint8 (height, width, 3) RGB; None where it cannot be used."""
        from service.errors import ServiceError
        from service.intake.decode import decode

        try:
            return decode(path.read_bytes(), self._limits)
        except ServiceError as error:
            self._fail(path, error.reason.name, error.message)
        except OSError as error:
            self._fail(path, "FILE_UNREADABLE", str(error.strerror))
        return None

    def _fail(self, path: Path, reason: str, message: str) -> None:
        self.failures.append({"file": str(path), "reason": reason, "message": message})


def _model_in(manifest: Path) -> str:
    """The name of the model that a manifest states; empty where there is none that can be read."""
    try:
        return Path(str(json.loads(manifest.read_bytes())["model"])).name
    except (OSError, ValueError, KeyError, TypeError):
        return ""


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


def known_family(name: str, families: Collection[str]) -> str:
    """The name; empty: none is stated. Raises CommandError."""
    if name and name not in families:
        raise CommandError(f"--family must be one of {', '.join(sorted(families))}", code=Exit.USAGE)
    return name


def proposed(propose: Callable[[], T]) -> T:
    """What `propose` finds out of a file. Raises CommandError where the file cannot be used."""
    from service.encoder.adding.picture_input import UnusableGraph

    try:
        return propose()
    except UnusableGraph as error:
        raise CommandError(str(error), reason="MODEL_UNUSABLE") from None


def tracked(title: str, *, quiet: bool) -> Any:
    """Shows the progress through what it is called with."""
    return partial(track, description=title, console=console(stderr=True), transient=True, disable=quiet)


def show_checks(model_id: str, guesses: Sequence[Guess], trial: Checks) -> None:
    """Prints what was decided of a model, why, and what came of trying it."""
    print_table(["", model_id, "because"], [[g.what, g.value, g.why] for g in guesses])
    print()
    print_table(["check", "state", "detail"], [[c.name, c.state, c.detail] for c in trial.checks])


def end_added(trial: Checks, failures: Sequence[Mapping[str, str]], reason: str, *, as_json: bool) -> None:
    """Ends the command with the exit code of what went wrong, if anything did. failures: of pictures. reason: of a
    model that cannot be used."""
    if not trial.passed:
        said = "; ".join(c.name for c in trial.checks if c.state == "failed")
        end_failed(CommandError(f"checks failed: {said}; nothing was written", reason=reason), as_json=as_json)
    if failures:
        said = f"{len(failures)} pictures failed"
        failure = CommandError(said, reason="PICTURES_FAILED", code=Exit.SOME_RECORDS_FAILED)
        end_failed(failure, as_json=as_json)
