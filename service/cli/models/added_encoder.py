"""What `afterimage encoders add` found out, as files and on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from service.cli.models.adding import ModelFolder, show_checks
from service.cli.output import CommandError, print_json, print_table

if TYPE_CHECKING:
    from service.encoder.adding.comparison import Comparison
    from service.encoder.adding.model_file import Proposal
    from service.encoder.adding.trial import Trial
    from service.encoder.drawn.samples import DrawnSamples
    from service.encoder.manifest import Manifest


@dataclass(frozen=True)
class AddedEncoder:
    """What came of `afterimage encoders add`. target: where the encoder lies, or would lie. sizes_mb: of the
    models compared, by id. failures: a line for each picture that cannot be used.
    samples: vectors of drawn products, or None where nobody asked for them."""

    manifest: Manifest
    proposal: Proposal[Manifest]
    trial: Trial
    target: ModelFolder
    comparison: Comparison | None = None
    sizes_mb: Mapping[str, float] = field(default_factory=dict)
    failures: Sequence[Mapping[str, str]] = ()
    samples: DrawnSamples | None = None


def write_added(found: AddedEncoder) -> AddedEncoder:
    """Writes the encoder, and returns it as it was written. The vectors of drawn pictures go first and come last, so
    that none are ever beside a model that did not give them. Raises CommandError."""
    from service.encoder.drawn.samples import FILE_NAME

    target = found.target
    try:
        (target.folder / FILE_NAME).unlink(missing_ok=True)
        manifest = target.write(found.manifest)
        if found.samples is not None:
            found.samples.write(target.folder / FILE_NAME)
    except OSError as error:
        raise CommandError(f"{target.folder}: {error.strerror}", reason="FILE_UNWRITABLE") from None
    return replace(found, manifest=manifest)


def show_added(found: AddedEncoder, *, written: bool, as_json: bool) -> None:
    """Prints what was found out, tried and measured."""
    measured = found.comparison.rows if found.comparison else ()
    rows = [{**asdict(row), "megabytes": found.sizes_mb[row.encoder_id]} for row in measured]
    if as_json:
        print_json({
            "encoder_id": found.manifest.id, "folder": str(found.target.folder), "written": written,
            "manifest": found.manifest.model_dump(mode="json", exclude_unset=True),
            "guesses": [asdict(g) for g in found.proposal.guesses], "checks": [asdict(c) for c in found.trial.checks],
            "truth": found.comparison.truth if found.comparison else "", "comparison": rows,
            "queries": found.comparison.queries if found.comparison else 0, "failures": found.failures,
        })  # fmt: skip
        return
    show_checks(found.manifest.id, found.proposal.guesses, found.trial)
    if found.comparison:
        print(f"\n{found.comparison.queries} queries; right is what {found.comparison.truth} say:")
        columns = ["encoder", "R@1 %", "mAP@10 %", "ms a picture", "numbers", "MB"]
        print_table(columns, [list(row.values()) for row in rows])
        print_table(["file", "reason", "message"], [list(f.values()) for f in found.failures], empty="")
    if written:
        print(f"Saved to {found.target.folder}. Servers use it after a restart.")
    elif found.trial.passed:
        print("Dry run: nothing was written.")
