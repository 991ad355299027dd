"""`afterimage encoders calibrate --pairs`: labelled pairs of picture files, without a server."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.models.labelled_pairs import print_thresholds, read_pairs, write_plot
from service.cli.output import CommandError, Exit, print_json, print_table
from service.config import load_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from service.encoder.manifest import Manifest
    from service.encoder.registry import EncoderRegistry
    from service.settings.model import Settings

_BATCH = 8


@dataclass(frozen=True)
class PairMeasurement:
    """What to measure. plot: file for a plot, or None. encoder: empty: the default one. write: the fitted score goes
    into the encoder's manifest."""

    pairs: Path
    plot: Path | None
    encoder: str
    encoders_dir: Path | None
    write: bool


def calibrate_by_pairs(wanted: PairMeasurement, *, as_json: bool) -> None:
    """Encodes the pictures, and shows precision and recall at each threshold. Raises CommandError."""
    import numpy as np

    from service.composition.parts import encoders_of
    from service.tuning.thresholds import TooFewPairs, best_threshold, calibration_of_pairs, thresholds

    settings = load_settings({"encoders_dir": wanted.encoders_dir}).settings
    registry = encoders_of(settings)
    manifest = registry.manifest(wanted.encoder)
    labelled = read_pairs(wanted.pairs)
    files = list(dict.fromkeys(name for pair in labelled for name in (pair.first, pair.second)))
    vectors, failures = _encoded(settings, registry, manifest, wanted.pairs.parent, files)
    known = [p for p in labelled if p.first in vectors and p.second in vectors]
    cosines = np.array([float(vectors[p.first] @ vectors[p.second]) for p in known])
    distances, same = np.clip(1 - cosines, 0, 2), np.array([p.same for p in known], np.bool_)
    try:
        found = calibration_of_pairs(distances, same, manifest.score.near_duplicate_distance)
        rows = thresholds(distances, same, found.curve)
    except TooFewPairs as error:
        raise CommandError(f"{wanted.pairs}: {error}", code=Exit.USAGE) from None
    best = best_threshold(rows)
    if wanted.write:
        registry.write_score(manifest, found.curve)
    if wanted.plot is not None:
        write_plot(wanted.plot, rows, best)
    if as_json:
        shown = [{**asdict(row), "f1": row.f1} for row in rows]
        print_json({
            "encoder_id": manifest.id, "pairs": len(known), "thresholds": shown,
            "best": {**asdict(best), "f1": best.f1}, "score": found.curve.model_dump(),
            "failures": failures, "written": wanted.write,
        })  # fmt: skip
    else:
        print_table(["file", "reason", "message"], [list(f.values()) for f in failures], empty="")
        print_thresholds(rows, best)
        print("Saved to the manifest." if wanted.write else "Dry run: nothing was written. Pass --write to save.")
    if failures:
        raise CommandError(f"{len(failures)} pictures failed", reason="PICTURES_FAILED", code=Exit.SOME_RECORDS_FAILED)


def _encoded(
    settings: Settings, registry: EncoderRegistry, manifest: Manifest, folder: Path, files: list[str]
) -> tuple[dict[str, NDArray[np.float32]], list[dict[str, str]]]:
    """The vectors of pictures by file, of length 1, and a line for each that cannot be used. Paths are relative to
    `folder`."""
    from service.composition.parts import limits_of
    from service.encoder.contract import picture_vectors
    from service.encoder.preprocess import to_tensor
    from service.errors import ServiceError
    from service.intake.decode import decode, prepare_opencv

    prepare_opencv()
    encoder, limits, failures = registry.session(manifest), limits_of(settings), []
    vectors: dict[str, NDArray[np.float32]] = {}
    for start in range(0, len(files), _BATCH):
        names, tensors = [], []
        for name in files[start : start + _BATCH]:
            try:
                tensors.append(to_tensor(decode((folder / name).read_bytes(), limits), manifest.input))
                names.append(name)
            except ServiceError as error:
                failures.append({"file": name, "reason": error.reason.name, "message": error.message})
            except OSError as error:
                failures.append({"file": name, "reason": "FILE_UNREADABLE", "message": str(error.strerror)})
        if tensors:
            vectors |= dict(zip(names, picture_vectors(encoder, tensors), strict=True))
    return vectors, failures
