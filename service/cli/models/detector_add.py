"""`afterimage detectors add`: makes a detector of an ONNX file: inspects, tries and measures it, without a server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.models.added_detector import AddedDetector, show_added, write_added
from service.cli.models.adding import (
    ModelFolder,
    PictureFiles,
    end_added,
    known_family,
    proposed,
    size_of,
    target_folder,
    tracked,
)
from service.cli.models.marked_pictures import MarkedFolder, find_marked
from service.cli.output import CommandError, Exit, JsonFlag
from service.config import load_settings

if TYPE_CHECKING:
    from service.detector.adding.comparison import MarkedPicture
    from service.detector.manifest import DetectorManifest
    from service.detector.registry import DetectorRegistry
    from service.detector.session import DetectorSession
    from service.encoder.adding.model_file import Proposal
    from service.settings.model import Settings

DirOption = Annotated[Path | None, typer.Option(help="Directory of custom detectors. [env: AFTERIMAGE_DETECTORS_DIR]")]
_MOST_LABELS = 10_000


def add(
    file: Annotated[Path, typer.Argument(help="ONNX file.")],
    detectors_dir: DirOption = None,
    detector_id: Annotated[str, typer.Option("--id", help="Detector id. Default: from the name of the file.")] = "",
    family: Annotated[
        str,
        typer.Option(
            help="How pictures are prepared: yolo, detr, deformable-detr, rt-detr, torchvision, tensorflow or ssd. "
            "Default: recognised by outputs and names in the graph."
        ),
    ] = "",
    labels: Annotated[
        Path | None, typer.Option(help="Text file with a label in each line. Default: those in the ONNX file.")
    ] = None,
    size: Annotated[str, typer.Option(help="Size of the input, as 640 or 480x640 (height x width).")] = "",
    resize: Annotated[
        Literal["stretch", "crop", "pad"] | None, typer.Option(help="How a picture is fitted. Default: by the family.")
    ] = None,
    score_function: Annotated[
        Literal["softmax", "sigmoid"] | None, typer.Option(help="Of DETR models. Default: by the family or a run.")
    ] = None,
    box_format: Annotated[
        Literal["xyxy", "yxyx", "cxcywh"] | None, typer.Option(help="Order of a box's numbers. Default: by the family.")
    ] = None,
    min_score: Annotated[float | None, typer.Option(min=0, max=1, help="Minimum score of an object.")] = None,
    version: Annotated[str, typer.Option(help="Version of the model, for people.")] = "1",
    license_: Annotated[str, typer.Option("--license", help="Licence of the weights, for people.")] = "unknown",
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Measure on the pictures of this folder. Files of boxes as of YOLO are the truth: beside the "
            "pictures, or in a folder `labels` beside `images`. Default: 60 drawn scenes."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of pictures to use.")] = 200,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Inspect, try and measure, but write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a detector of the same folder.")] = False,
    json: JsonFlag = False,
) -> None:
    """Make a detector of an ONNX file: find out what it takes and gives, write its manifest, try it on drawn scenes,
    and measure it against the built-in one.

    Example: afterimage detectors add yolo11n.onnx --detectors-dir detectors --pictures shelves/

    The model is copied to a folder of the detectors directory. Without that directory, or if the file is already in
    such a folder, the manifest is written beside the file. Nothing is written if a check fails (exit code 1).

    Look first, with other guesses: afterimage detectors add model.onnx --id shelf --family rt-detr --dry-run
    """
    from service.detector.adding.families import FAMILIES
    from service.detector.adding.proposal import Wishes, propose
    from service.detector.manifest import MANIFEST_NAME
    from service.detector.session import DetectorSession
    from service.intake.decode import prepare_opencv

    prepare_opencv()
    settings, registry = registry_of(detectors_dir)
    wishes = Wishes(
        detector_id, known_family(family, FAMILIES), _labels_of(labels), size_of(size), resize or "",
        score_function or "", box_format or "", min_score, version, license_,
    )  # fmt: skip
    proposal = proposed(lambda: propose(file, wishes))
    folder = target_folder(file, proposal.manifest.id, settings.detectors_dir)
    target = ModelFolder(folder, MANIFEST_NAME, file, proposal.content)
    target.check_free(force=force, reason="DETECTOR_EXISTS")
    _check_id(folder, proposal.manifest.id, registry)
    chosen = find_marked(pictures, limit) if pictures is not None else None
    source = proposal.content if proposal.content is not None else file.parent
    session = DetectorSession(source, proposal.manifest, settings.cores, settings.model_provider)
    found = _tried(session, proposal, target, quiet=json)
    if found.trial.passed:
        found = _measured(found, [session, registry.load()], settings, chosen, quiet=json)
        sizes = {proposal.manifest.id: len(source) if isinstance(source, bytes) else file.stat().st_size}
        sizes |= {m.id: (f / m.model).stat().st_size for f, m in [registry.check()]}
        found = replace(found, sizes_mb={name: round(size / 1e6, 1) for name, size in sizes.items()})
    written = found.trial.passed and not dry_run
    if written:
        found = write_added(found)
    show_added(found, written=written, as_json=json)
    end_added(found.trial, found.failures, "DETECTOR_UNUSABLE", as_json=json)


def registry_of(detectors_dir: Path | None) -> tuple[Settings, DetectorRegistry]:
    """The settings and the detectors, of which the built-in one is used. Raises SettingError."""
    from service.composition.parts import detectors_of
    from service.detector.registry import BUILTIN

    settings = load_settings({"detectors_dir": detectors_dir}).settings
    return settings, detectors_of(settings.model_copy(update={"detector": BUILTIN}))


def _labels_of(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        found = tuple(line.strip() for line in path.read_text().splitlines() if line.strip())
    except (OSError, ValueError) as error:
        raise CommandError(f"--labels: {path} cannot be read: {error}", code=Exit.USAGE) from None
    if not 0 < len(found) <= _MOST_LABELS:
        raise CommandError(f"--labels: {path} must have 1 to {_MOST_LABELS} lines", code=Exit.USAGE)
    return found


def _check_id(folder: Path, detector_id: str, registry: DetectorRegistry) -> None:
    other = registry.folders().get(detector_id)
    if other is not None and other.resolve() != folder.resolve():
        raise CommandError(f"{other} has a detector {detector_id!r}; pass --id", reason="DETECTOR_EXISTS")


def _tried(
    session: DetectorSession, proposal: Proposal[DetectorManifest], target: ModelFolder, *, quiet: bool
) -> AddedDetector:
    from service.detector.adding.trial import try_detector

    return AddedDetector(proposal, try_detector(session, tracked("Trying", quiet=quiet)), target)


def _measured(
    found: AddedDetector, sessions: list[DetectorSession], settings: Settings, chosen: list[Path] | None, *, quiet: bool
) -> AddedDetector:
    from service.detector.adding.comparison import DRAWN_SCENES, compare, drawn_scenes

    marked = None if chosen is None else MarkedFolder(PictureFiles(settings), chosen)
    source: Iterable[MarkedPicture] = drawn_scenes() if marked is None else marked
    total = DRAWN_SCENES if marked is None else len(marked)
    try:
        comparison = compare(sessions, tracked("Measuring", quiet=quiet)(source, total=total))
    except ValueError as error:
        raise CommandError(f"--pictures: {error}", code=Exit.USAGE) from None
    failures = () if marked is None else marked.files.failures
    named = "drawn scenes" if marked is None else "pictures"
    return replace(found, comparison=comparison, source=named, failures=failures)
