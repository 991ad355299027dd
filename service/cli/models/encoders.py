"""`afterimage encoders`: works without a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import track

from service.cli.models import encoder_add, encoder_bench
from service.cli.models.encoder_bench import DirOption, registry_of
from service.cli.output import CommandError, Exit, JsonFlag, console, print_fields, print_json, print_table

if TYPE_CHECKING:
    from service.encoder.manifest import Manifest
    from service.encoder.registry import EncoderRegistry
    from service.settings.model import Settings

encoders = typer.Typer(no_args_is_help=True, help="List, add and measure encoders, and encode files without a server.")
_BATCH = 8


@encoders.command("list")
def list_(encoders_dir: DirOption = None, json: JsonFlag = False) -> None:
    """List the encoders. Example: afterimage encoders list --encoders-dir encoders"""
    _, registry = registry_of(encoders_dir)
    found = [_facts(m, registry.default_id) for m in registry.manifests()]
    if json:
        print_json({"encoders": found})
    else:
        columns = ["id", "version", "dimension", "license", "fingerprint", "default"]
        print_table(columns, [[f[c] for c in columns] for f in found])


@encoders.command("show")
def show(encoder_id: str, encoders_dir: DirOption = None, json: JsonFlag = False) -> None:
    """Show one encoder's manifest. Example: afterimage encoders show builtin --json"""
    _, registry = registry_of(encoders_dir)
    manifest = registry.manifest(encoder_id)
    facts = _facts(manifest, registry.default_id)
    print_json({**facts, "manifest": manifest.model_dump()}) if json else print_fields(
        {**facts, **manifest.model_dump()}
    )


@encoders.command("run")
def run(
    pictures: Annotated[list[Path], typer.Argument(help="Picture files, in the order of the rows.")],
    out: Annotated[Path, typer.Option(help="Output NumPy file: float32, one row per picture.")],
    encoder: Annotated[str, typer.Option(help="Encoder id.")] = "",
    encoders_dir: DirOption = None,
    json: JsonFlag = False,
) -> None:
    """Encode files without a server. A file that fails becomes a row of NaN, and the exit code is 3.

    Example: afterimage encoders run a.jpg b.jpg --out vectors.npy
    """
    import numpy as np

    settings, registry = registry_of(encoders_dir)
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
        print(f"Encoded {len(pictures) - len(failures)} of {len(pictures)} pictures to {out}.")
        print_table(["file", "reason", "message"], [list(f.values()) for f in failures], empty="")
    if failures:
        raise CommandError(f"{len(failures)} pictures failed", reason="PICTURES_FAILED", code=Exit.SOME_RECORDS_FAILED)


def _embed(
    settings: Settings, registry: EncoderRegistry, manifest: Manifest, pictures: Sequence[Path], vectors: Any
) -> list[dict[str, str]]:

    from service.composition.parts import limits_of
    from service.encoder.contract import picture_vectors
    from service.encoder.preprocess import to_tensor
    from service.errors import ServiceError
    from service.intake.decode import decode, prepare_opencv

    prepare_opencv()
    encoder, limits, failures = registry.session(manifest), limits_of(settings), []
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
            vectors[rows] = picture_vectors(encoder, tensors)
    return failures


def _facts(manifest: Manifest, default_id: str) -> dict[str, Any]:
    return {
        "id": manifest.id, "version": manifest.version, "license": manifest.license,
        "dimension": manifest.output.dimension, "fingerprint": manifest.fingerprint,
        "default": manifest.id == default_id,
    }  # fmt: skip


for command in (encoder_add.add, encoder_bench.bench, encoder_bench.variants, encoder_bench.calibrate):
    encoders.command()(command)
