"""`afterimage encoders bench`, `variants`, `calibrate`: measures an encoder on this machine and on given pictures."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import track

from service.cli.models.pair_measurement import PairMeasurement, calibrate_by_pairs
from service.cli.output import CommandError, Exit, JsonFlag, console, print_fields, print_json, print_table
from service.config import load_settings, process_environment
from service.runtime.process import become_prepared

if TYPE_CHECKING:
    from service.encoder.calibration import Calibration
    from service.encoder.manifest import Manifest
    from service.encoder.registry import EncoderRegistry
    from service.settings.model import Settings

DirOption = Annotated[Path | None, typer.Option(help="Directory of custom encoders. [env: AFTERIMAGE_ENCODERS_DIR]")]
_PRECISIONS = ("fp16", "int8")
_BENCH_BATCHES = (1, 2, 4, 8, 16)


def registry_of(encoders_dir: Path | None) -> tuple[Settings, EncoderRegistry]:
    """The settings and their encoders. Raises SettingError."""
    from service.composition.parts import encoders_of

    settings = load_settings({"encoders_dir": encoders_dir}).settings
    return settings, encoders_of(settings)


def _run_as_a_server(encoders_dir: Path | None) -> Settings:
    """Returns the settings in a process with the allocator settings of a server, which affect the measurements."""
    settings = load_settings({"encoders_dir": encoders_dir}).settings
    become_prepared(sys.argv[1:], process_environment(), settings.max_image_pixels)
    return settings


def bench(
    encoder: Annotated[str, typer.Argument(help="Encoder id. Empty: the default encoder.")] = "",
    encoders_dir: DirOption = None,
    json: JsonFlag = False,
) -> None:
    """Measure the best threads and batch size of an encoder on this machine, as the server does at loading.

    Example: afterimage encoders bench builtin
    """
    _run_as_a_server(encoders_dir)
    from service.encoder.execution import pictures_per_second, runs_at_a_time, thread_counts

    settings, registry = registry_of(encoders_dir)
    manifest = registry.manifest(encoder)
    cores, provider, rows = settings.cores, settings.model_provider, []
    tried = [(threads, batch) for threads in thread_counts(settings.cores, provider) for batch in _BENCH_BATCHES]
    for threads, batch in track(tried, "Measuring", console=console(stderr=True), transient=True):
        runs = runs_at_a_time(cores, threads, provider)
        speed = pictures_per_second(registry.session_with(manifest, threads), batch, runs, rounds=5)
        rows.append({"threads": threads, "runs": runs, "batch": batch, "pictures_per_second": round(speed, 1),
                     "run_ms": round(1000 * batch * runs / speed, 1)})  # fmt: skip
    chosen = registry.load(manifest).execution
    if json:
        print_json({"encoder_id": manifest.id, "provider": provider, "rows": rows, "chosen": asdict(chosen)})
        return
    print_table(list(rows[0]), [list(r.values()) for r in rows])
    print(
        f"The server runs {manifest.id} with {chosen.threads} threads, {chosen.runs} parallel "
        f"sessions, batches of up to {chosen.batch}."
    )


def variants(
    encoder: Annotated[str, typer.Argument(help="Id of a custom encoder.")],
    folder: Annotated[Path, typer.Argument(help="Folder with at least 32 pictures for calibration and measurement.")],
    encoders_dir: DirOption = None,
    precision: Annotated[list[str] | None, typer.Option(help="fp16 or int8. Default: both.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Save useful variants in the encoders directory.")] = False,
    json: JsonFlag = False,
) -> None:
    """Create fp16 and int8 variants of an encoder, and measure their speed and accuracy on this machine.

    Example: afterimage encoders variants clip photos/ --encoders-dir encoders --write
    """
    settings = _run_as_a_server(encoders_dir)
    wanted = precision or list(_PRECISIONS)
    if settings.encoders_dir is None or set(wanted) - set(_PRECISIONS):
        raise CommandError(f"pass --encoders-dir, and --precision {' or '.join(_PRECISIONS)}", code=Exit.USAGE)
    rows = _measured_variants(settings, encoder, folder, wanted, write=write)
    if json:
        print_json({"encoder_id": encoder, "variants": rows})
        return
    columns = list(rows[0])
    print_table(columns, [[r.get(c, "") for c in columns] for r in rows])
    for row in rows:
        if "problem" in row:
            print(f"{row['name']} was left out: {row['problem']}")
    if not write:
        print("Dry run: nothing was written. Pass --write to save useful variants.")


def calibrate(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder with at least 50 pictures of different things, or use --pairs.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="CSV file with the columns first, second (picture files) and same (1 or 0): 20 of each."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="With --pairs: output file for a plot (SVG).")] = None,
    encoder: Annotated[str, typer.Option(help="Encoder id.")] = "",
    encoders_dir: DirOption = None,
    write: Annotated[bool, typer.Option("--write", help="Write the calibration into the encoder's manifest.")] = False,
    limit: Annotated[int, typer.Option(min=50, help="Maximum number of pictures to use.")] = 500,
    json: JsonFlag = False,
) -> None:
    """Measure distances of unrelated pictures and of altered copies, and fit the score and the near-duplicate distance.

    Example: afterimage encoders calibrate photos/ --encoder clip --encoders-dir encoders --write

    With --pairs, measure precision and recall by distance on labelled pairs of pictures, and fit the score to them:
    afterimage encoders calibrate --pairs pairs.csv --plot thresholds.svg. For records of a collection, see
    afterimage collections calibrate.
    """
    if (folder is None) == (pairs is None):
        raise CommandError("pass either a folder or --pairs", code=Exit.USAGE)
    if pairs is not None:
        calibrate_by_pairs(PairMeasurement(pairs, plot, encoder, encoders_dir, write), as_json=json)
        return
    assert folder is not None
    from service.encoder.calibration import calibrate as measure

    settings, registry = registry_of(encoders_dir)
    manifest = registry.manifest(encoder)
    pictures = _decoded(settings, folder, limit)
    track_ = partial(track, description="Measuring", console=console(stderr=True), transient=True)
    try:
        found = measure(registry.session(manifest), pictures, track_)
    except ValueError as error:
        raise CommandError(f"{folder}: {error}", code=Exit.USAGE) from None
    if write:
        registry.write_score(manifest, found.score)
    _show_calibration(found, manifest, len(pictures), written=write, as_json=json)


def _measured_variants(
    settings: Settings, encoder: str, folder: Path, precisions: Sequence[str], *, write: bool
) -> list[dict[str, Any]]:
    import shutil
    import tempfile

    from service.composition.parts import encoders_of
    from service.encoder.execution import Hardware
    from service.encoder.preprocess import to_tensor
    from service.encoder.variants import FailedVariant, Variant, build_variant, measure_variants
    from service.errors import SettingError

    registry = encoders_of(settings)
    source, spec = registry.folder(registry.manifest(encoder)), registry.manifest(encoder).input
    tensors = [to_tensor(p, spec) for p in _decoded(settings, folder, 200)]
    with tempfile.TemporaryDirectory() as temporary:
        made, failed = {encoder: source}, list[FailedVariant]()
        for precision in track(precisions, "Converting", console=console(stderr=True), transient=True):
            name = f"{encoder}-{precision}"
            try:
                build_variant(source, precision, tensors, Path(temporary) / name)
                made[name] = Path(temporary) / name
            except SettingError as error:
                failed.append(FailedVariant(name, str(error)))
        hardware = Hardware(settings.cores, settings.model_provider)
        try:
            original, others = measure_variants(list(made.values()), tensors, hardware)
        except ValueError as error:
            raise CommandError(f"{folder}: {error}", code=Exit.USAGE) from None
        found = [original, *others, *failed]
        rows = [{**asdict(v), "helps": isinstance(v, Variant) and v.helps(original)} for v in found]
        for row in rows:
            if write and row["helps"] and settings.encoders_dir:
                shutil.copytree(made[row["name"]], settings.encoders_dir / row["name"])
    return [{k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows]


def _decoded(settings: Settings, folder: Path, limit: int) -> list[Any]:
    from service.cli.collections.pictures import find_files
    from service.composition.parts import limits_of
    from service.errors import ServiceError
    from service.intake.decode import decode, prepare_opencv

    prepare_opencv()
    pictures = []
    for path in find_files([folder])[:limit]:
        with contextlib.suppress(ServiceError, OSError):
            pictures.append(decode(path.read_bytes(), limits_of(settings)))
    return pictures


def _show_calibration(found: Calibration, manifest: Manifest, pictures: int, *, written: bool, as_json: bool) -> None:
    import numpy as np

    quantiles = (0.001, 0.01, 0.5, 0.95, 0.99)
    rows = {"unrelated pictures": found.strangers} | {f"copy: {n}": d for n, d in found.copies.items()}
    measured = {n: [round(float(np.quantile(d, q)), 4) for q in quantiles] for n, d in rows.items()}
    copies, strangers = found.separated
    if as_json:
        print_json({
            "encoder_id": manifest.id, "pictures": pictures, "quantiles": quantiles, "distances": measured,
            "score": found.score.model_dump(), "copies_within": copies, "strangers_within": strangers,
            "written": written,
        })  # fmt: skip
        return
    print_table(["distances", *(f"{q:.1%}" for q in quantiles)], [[n, *v] for n, v in measured.items()])
    print_fields({
        "midpoint": found.score.midpoint, "width": found.score.width,
        "near_duplicate_distance": f"{found.score.near_duplicate_distance} ({copies:.1%} of the copies are within, and "
        f"{strangers:.3%} of the unrelated)",
    })  # fmt: skip
    print("Saved to the manifest." if written else "Dry run: nothing was written. Pass --write to save.")
