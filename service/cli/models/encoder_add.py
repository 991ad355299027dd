"""`afterimage encoders add`: makes an encoder of an ONNX file: inspects, tries and measures it, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.models.added_encoder import AddedEncoder, show_added, write_added
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
from service.cli.models.encoder_bench import DirOption, registry_of
from service.cli.models.grouped_pictures import DecodedPictures, find_grouped
from service.cli.output import CommandError, Exit, JsonFlag

if TYPE_CHECKING:
    from service.encoder.adding.model_file import Proposal
    from service.encoder.contract import Encoder
    from service.encoder.drawn.samples import DrawnSamples
    from service.encoder.manifest import Manifest
    from service.encoder.registry import EncoderRegistry


def add(
    file: Annotated[Path, typer.Argument(help="ONNX file.")],
    encoders_dir: DirOption = None,
    encoder_id: Annotated[str, typer.Option("--id", help="Encoder id. Default: from the name of the file.")] = "",
    family: Annotated[
        str,
        typer.Option(
            help="How pictures are prepared: clip, siglip, siglip2, marqo-ecommerce, dinov2, dinov3, mobilenet or "
            "imagenet. Default: recognised by names in the graph."
        ),
    ] = "",
    output: Annotated[str, typer.Option(help="Output, or any other value of the graph, that is the vector.")] = "",
    pooling: Annotated[
        Literal["none", "cls", "mean_tokens", "global_average"] | None,
        typer.Option(help="How tokens or a map of features become one vector. Default: by the shape."),
    ] = None,
    size: Annotated[str, typer.Option(help="Size of the input, as 224 or 256x192 (height x width).")] = "",
    resize: Annotated[
        Literal["stretch", "crop", "pad"] | None, typer.Option(help="How a picture is fitted. Default: by the family.")
    ] = None,
    version: Annotated[str, typer.Option(help="Version of the model, for people.")] = "1",
    license_: Annotated[str, typer.Option("--license", help="Licence of the weights, for people.")] = "unknown",
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Measure on these pictures: a folder with a subfolder for each product, or a table with the columns "
            "file and product_id. Without groups, altered copies are the truth."
        ),
    ] = None,
    against: Annotated[str, typer.Option(help="Encoder to compare with.")] = "builtin",
    limit: Annotated[int, typer.Option(min=10, help="Maximum number of pictures to use.")] = 500,
    drawn: Annotated[
        bool,
        typer.Option("--drawn", help="Also encode 1,200 drawn pictures, by which collections begin with scores."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Inspect, try and measure, but write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an encoder of the same folder.")] = False,
    json: JsonFlag = False,
) -> None:
    """Make an encoder of an ONNX file: find out what it takes and gives, write its manifest, try it on drawn pictures,
    and measure it against the built-in one.

    Example: afterimage encoders add dinov2-small.onnx --encoders-dir encoders --pictures photos/

    The model is copied to a folder of the encoders directory. Without that directory, or if the file is already in such
    a folder, the manifest is written beside the file. Nothing is written if a check fails (exit code 1).

    Look first, with other guesses: afterimage encoders add model.onnx --id shoes --family clip --pooling cls --dry-run
    """
    from service.encoder.adding.families import FAMILIES
    from service.encoder.adding.proposal import Wishes, propose
    from service.encoder.kinds import load_kind
    from service.encoder.manifest import MANIFEST_NAME
    from service.intake.decode import prepare_opencv

    prepare_opencv()
    settings, registry = registry_of(encoders_dir)
    wishes = Wishes(
        encoder_id,
        known_family(family, FAMILIES),
        output,
        pooling or "",
        size_of(size),
        resize or "",
        version,
        license_,
    )
    proposal = proposed(lambda: propose(file, wishes))
    folder = target_folder(file, proposal.manifest.id, settings.encoders_dir)
    target = ModelFolder(folder, MANIFEST_NAME, file, proposal.content)
    _check_id(folder, proposal.manifest.id, registry)
    target.check_free(force=force, reason="ENCODER_EXISTS")
    other, chosen = registry.manifest(against), find_grouped(pictures, limit) if pictures is not None else []
    source = proposal.content if proposal.content is not None else file.parent
    encoder = load_kind(source, proposal.manifest, settings.cores, settings.model_provider)
    found = _tried(encoder, proposal, target, quiet=json)
    if found.trial.passed and pictures is not None:
        encoders = [encoder, registry.session_with(other, settings.cores)]
        found = _measured(found, encoders, DecodedPictures(PictureFiles(settings), chosen), quiet=json)
        sizes = {found.manifest.id: _megabytes(source, found.manifest)}
        found = replace(found, sizes_mb=sizes | {other.id: _megabytes(registry.folder(other), other)})
    if found.trial.passed and drawn and not dry_run:
        found = replace(found, samples=_drawn_samples(encoder, quiet=json))
    written = found.trial.passed and not dry_run
    if written:
        found = write_added(found)
    show_added(found, written=written, as_json=json)
    end_added(found.trial, found.failures, "ENCODER_UNUSABLE", as_json=json)


def _check_id(folder: Path, encoder_id: str, registry: EncoderRegistry) -> None:
    other = next((m for m in registry.manifests() if m.id == encoder_id), None)
    if other is not None and registry.folder(other).resolve() != folder.resolve():
        raise CommandError(
            f"{registry.folder(other)} has an encoder {encoder_id!r}; pass --id", reason="ENCODER_EXISTS"
        )


def _tried(encoder: Encoder, proposal: Proposal[Manifest], target: ModelFolder, *, quiet: bool) -> AddedEncoder:
    from service.encoder.adding.trial import try_encoder

    trial = try_encoder(encoder, tracked("Trying", quiet=quiet))
    manifest = proposal.manifest
    if trial.score is not None:
        manifest = manifest.model_copy(update={"score": trial.score})
    return AddedEncoder(manifest, proposal, trial, target)


def _measured(
    found: AddedEncoder, encoders: Sequence[Encoder], pictures: DecodedPictures, *, quiet: bool
) -> AddedEncoder:
    from service.encoder.adding.comparison import compare, truth_of

    shown = tracked("Measuring", quiet=quiet)(pictures)
    try:
        comparison = compare(encoders, shown, truth_of(p.group for p in pictures.pictures))
    except ValueError as error:
        raise CommandError(f"--pictures: {error}", code=Exit.USAGE) from None
    manifest = found.manifest.model_copy(update={"score": comparison.score or found.manifest.score})
    return replace(found, manifest=manifest, comparison=comparison, failures=pictures.files.failures)


def _megabytes(source: Path | bytes, manifest: Manifest) -> float:
    size = len(source) if isinstance(source, bytes) else (source / manifest.model).stat().st_size
    return round(size / 1e6, 1)


def _drawn_samples(encoder: Encoder, *, quiet: bool) -> DrawnSamples:
    from service.encoder.drawn.measure import measured

    return measured(encoder, progress=tracked("Drawing", quiet=quiet))
