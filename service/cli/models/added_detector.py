"""What `afterimage detectors add` found out, as files and on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from service.cli.models.adding import ModelFolder, show_checks
from service.cli.output import CommandError, print_json, print_table

if TYPE_CHECKING:
    from service.detector.adding.comparison import Comparison
    from service.detector.manifest import DetectorManifest
    from service.encoder.adding.model_file import Proposal
    from service.encoder.adding.trial import Checks

_COLUMNS = {
    "detector_id": "detector", "ap50": "AP50 %", "ap": "AP50:95 %", "recall": "found %", "precision": "right %",
    "objects": "objects a picture", "agrees": "of the other's %", "ms": "ms a picture", "megabytes": "MB",
}  # fmt: skip
_OF_KNOWN_BOXES = frozenset({"ap50", "ap", "recall", "precision"})


@dataclass(frozen=True)
class AddedDetector:
    """What came of `afterimage detectors add`. sizes_mb: of the models compared, by id. source: of the pictures, for
    people. failures: a line for each picture that cannot be used."""

    proposal: Proposal[DetectorManifest]
    trial: Checks
    target: ModelFolder
    comparison: Comparison | None = None
    source: str = ""
    sizes_mb: Mapping[str, float] = field(default_factory=dict)
    failures: Sequence[Mapping[str, str]] = ()


def write_added(found: AddedDetector) -> AddedDetector:
    """Writes the detector, and returns it as it was written. Raises CommandError."""
    try:
        manifest = found.target.write(found.proposal.manifest)
    except OSError as error:
        raise CommandError(f"{found.target.folder}: {error.strerror}", reason="FILE_UNWRITABLE") from None
    return replace(found, proposal=replace(found.proposal, manifest=manifest))


def show_added(found: AddedDetector, *, written: bool, as_json: bool) -> None:
    """Prints what was found out, tried and measured."""
    manifest, compared = found.proposal.manifest, found.comparison
    rows = [{**asdict(r), "megabytes": found.sizes_mb[r.detector_id]} for r in (compared.rows if compared else ())]
    if as_json:
        print_json({
            "detector_id": manifest.id, "folder": str(found.target.folder), "written": written,
            "manifest": manifest.model_dump(mode="json", exclude_unset=True),
            "guesses": [asdict(g) for g in found.proposal.guesses], "checks": [asdict(c) for c in found.trial.checks],
            "comparison": rows, "source": found.source, "pictures": compared.pictures if compared else 0,
            "boxes": compared.boxes if compared else 0, "failures": found.failures,
        })  # fmt: skip
        return
    show_checks(manifest.id, found.proposal.guesses, found.trial)
    if compared:
        known = f"with {compared.boxes} known boxes" if compared.boxes else "without known boxes"
        print(f"\n{compared.pictures} {found.source}, {known}:")
        _print_rows(rows)
        print_table(["file", "reason", "message"], [list(f.values()) for f in found.failures], empty="")
    if written:
        print(f"Saved to {found.target.folder}. Servers with `detector = {manifest.id}` use it after a restart.")
    elif found.trial.passed:
        print("Dry run: nothing was written.")


def _print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    shown = [name for name in _COLUMNS if name not in _OF_KNOWN_BOXES or any(r[name] is not None for r in rows)]
    print_table([_COLUMNS[name] for name in shown], [["" if r[n] is None else r[n] for n in shown] for r in rows])
