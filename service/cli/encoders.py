"""`afterimage encoders`: works without a server."""

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

from service.cli.output import CommandError, Exit, JsonFlag, console, print_fields, print_json, print_table
from service.config import load_settings, process_environment
from service.process import prepared_environment, start_again

if TYPE_CHECKING:
    from service.config import Settings
    from service.encoder.calibration import Calibration
    from service.encoder.manifest import Manifest
    from service.encoder.registry import EncoderRegistry

encoders = typer.Typer(no_args_is_help=True, help="Look at encoders, and embed files without a server.")
DirOption = Annotated[Path | None, typer.Option(help="Your own encoders. [env: AFTERIMAGE_ENCODERS_DIR]")]
_BATCH = 8
_BENCH_BATCHES = (1, 2, 4, 8, 16)


def _registry(encoders_dir: Path | None) -> tuple[Settings, EncoderRegistry]:
    from service.app import encoders_of

    settings = load_settings({"encoders_dir": encoders_dir}).settings
    return settings, encoders_of(settings)


@encoders.command("list")
def list_(encoders_dir: DirOption = None, json: JsonFlag = False) -> None:
    """List the encoders. Example: afterimage encoders list --encoders-dir encoders"""
    _, registry = _registry(encoders_dir)
    found = [_facts(m, registry.default_id) for m in registry.manifests()]
    if json:
        print_json({"encoders": found})
    else:
        columns = ["id", "version", "dimension", "license", "fingerprint", "default"]
        print_table(columns, [[f[c] for c in columns] for f in found])


@encoders.command("show")
def show(encoder_id: str, encoders_dir: DirOption = None, json: JsonFlag = False) -> None:
    """Show one encoder's manifest. Example: afterimage encoders show builtin --json"""
    _, registry = _registry(encoders_dir)
    manifest = registry.manifest(encoder_id)
    facts = _facts(manifest, registry.default_id)
    print_json({**facts, "manifest": manifest.model_dump()}) if json else print_fields(
        {**facts, **manifest.model_dump()}
    )


@encoders.command("run")
def run(
    pictures: Annotated[list[Path], typer.Argument(help="Picture files, in the order of the rows.")],
    out: Annotated[Path, typer.Option(help="NumPy file: float32, one row per picture.")],
    encoder: Annotated[str, typer.Option(help="Encoder id.")] = "",
    encoders_dir: DirOption = None,
    json: JsonFlag = False,
) -> None:
    """Embed files without a server. A file that fails becomes a row of NaN, and the exit code 3.

    Example: afterimage encoders run a.jpg b.jpg --out vectors.npy
    """
    import numpy as np

    settings, registry = _registry(encoders_dir)
    manifest = registry.manifest(encoder)
    vectors = np.full((len(pictures), manifest.output.dimension), np.nan, np.float32)
    failures = _embed(settings, registry, manifest, pictures, vectors)
    with out.open("wb") as file:
        np.save(file, vectors)
    done = {"pictures": len(pictures), "failed": len(failures), "dimension": manifest.output.dimension,
            "encoder_id": manifest.id, "fingerprint": manifest.fingerprint}  # fmt: skip
    if json:
        print_json({**done, "failures": failures})
    else:
        print(f"{len(pictures) - len(failures)} of {len(pictures)} pictures embedded into {out}")
        print_table(["file", "reason", "message"], [list(f.values()) for f in failures], empty="")
    if failures:
        raise CommandError(f"{len(failures)} pictures failed", reason="PICTURES_FAILED", code=Exit.SOME_RECORDS_FAILED)


@encoders.command("bench")
def bench(
    encoder: Annotated[str, typer.Argument(help="Encoder id; empty means the default.")] = "",
    encoders_dir: DirOption = None,
    json: JsonFlag = False,
) -> None:
    """Measure how an encoder runs best on this machine, as the server does when it loads it.

    Example: afterimage encoders bench builtin
    """
    settings = load_settings({"encoders_dir": encoders_dir}).settings
    environment = prepared_environment(process_environment(), settings.max_image_pixels)
    if environment is not None:
        start_again(sys.argv[1:], environment)  # the allocator's settings, which the server has, change the figures
    from service.encoder.execution import pictures_per_second, thread_counts

    settings, registry = _registry(encoders_dir)
    manifest = registry.manifest(encoder)
    cores, provider, rows = settings.cores, settings.model_provider, []
    tried = [(threads, batch) for threads in thread_counts(settings.cores, provider) for batch in _BENCH_BATCHES]
    for threads, batch in track(tried, "Measuring", console=console(stderr=True), transient=True):
        runs = max(1, cores // threads) if provider == "cpu" else 1
        speed = pictures_per_second(registry.session_with(manifest, threads), batch, runs, rounds=5)
        rows.append({"threads": threads, "runs": runs, "batch": batch, "pictures_per_second": round(speed, 1),
                     "run_ms": round(1000 * batch * runs / speed, 1)})  # fmt: skip
    chosen = registry.load(manifest).execution
    if json:
        print_json({"encoder_id": manifest.id, "provider": provider, "rows": rows, "chosen": asdict(chosen)})
        return
    print_table(list(rows[0]), [list(r.values()) for r in rows])
    print(f"The server runs {manifest.id} with {chosen.threads} threads, {chosen.runs} runs at a time, "
          f"batches of up to {chosen.batch}.")  # fmt: skip


@encoders.command("calibrate")
def calibrate(
    folder: Annotated[Path, typer.Argument(help="Folder of pictures, each of another thing; 50 or more.")],
    encoder: Annotated[str, typer.Option(help="Encoder id.")] = "",
    encoders_dir: DirOption = None,
    write: Annotated[bool, typer.Option("--write", help="Write the score into the encoder's manifest.")] = False,
    limit: Annotated[int, typer.Option(min=50, help="Use at most so many pictures.")] = 500,
    json: JsonFlag = False,
) -> None:
    """Measure distances of unrelated pictures and of altered copies, and fit the score and the near-duplicate distance.

    Example: afterimage encoders calibrate photos/ --encoder clip --encoders-dir encoders --write
    """
    from service.encoder.calibration import calibrate as measure

    settings, registry = _registry(encoders_dir)
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


def _decoded(settings: Settings, folder: Path, limit: int) -> list[Any]:
    from service.app import limits_of
    from service.cli.pictures import find_files
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
    print("Written into the manifest." if written else "Not written; --write does.")


def _embed(
    settings: Settings, registry: EncoderRegistry, manifest: Manifest, pictures: Sequence[Path], vectors: Any
) -> list[dict[str, str]]:
    import numpy as np

    from service.app import limits_of
    from service.encoder.preprocess import to_tensor
    from service.errors import ServiceError
    from service.intake.decode import decode, prepare_opencv

    prepare_opencv()
    session, limits, failures = registry.session(manifest), limits_of(settings), []
    starts = range(0, len(pictures), _BATCH)
    for start in track(starts, "Embedding", console=console(stderr=True), transient=True):
        rows, tensors = [], []
        for row, path in enumerate(pictures[start : start + _BATCH], start):
            try:
                tensors.append(to_tensor(decode(path.read_bytes(), limits), manifest.input))
                rows.append(row)
            except ServiceError as error:
                failures.append({"file": str(path), "reason": error.reason.name, "message": error.message})
            except OSError as error:
                failures.append({"file": str(path), "reason": "FILE_UNREADABLE", "message": str(error.strerror)})
        if tensors:
            vectors[rows] = session.run(np.stack(tensors))
    return failures


def _facts(manifest: Manifest, default_id: str) -> dict[str, Any]:
    return {
        "id": manifest.id, "version": manifest.version, "license": manifest.license,
        "dimension": manifest.output.dimension, "fingerprint": manifest.fingerprint,
        "default": manifest.id == default_id,
    }  # fmt: skip
