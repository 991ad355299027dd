"""Real pictures and a real model beside the project, never part of it.

If they are absent, tests skip on a laptop and fail in CI.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

from tests.support.needs import missing

_SHARED = Path(__file__).parents[3] / "shared"
SHARED_REMEDY = "put the folder `shared` beside the clone; it is no part of the project"


def clothing() -> list[tuple[Path, str]]:
    """Photographs with their labels."""
    folder = _SHARED / "data" / "clothing"
    if not (folder / "labels.csv").exists():
        missing("../shared/data/clothing", SHARED_REMEDY)
    with (folder / "labels.csv").open(newline="") as file:
        return [(folder / row["file"], row["label"]) for row in csv.DictReader(file)]


def mobilenet_file() -> Path:
    """The real model, an ONNX file."""
    model = _SHARED / "models" / "mobilenet_v2_224" / "model.onnx"
    if not model.exists():
        missing("../shared/models/mobilenet_v2_224", SHARED_REMEDY)
    return model


def own_encoder(target: Path) -> Path:
    """An encoders directory in `target` with the real model and a manifest for it."""
    folder = target / "mobilenet"
    source = mobilenet_file()
    folder.mkdir(parents=True)
    shutil.copy(source, folder / "model.onnx")
    from service.encoder.manifest import model_digest

    manifest = {
        "id": "mobilenet-v2",
        "version": "1.0",
        "license": "Apache-2.0",
        "model": "model.onnx",
        "sha256": model_digest(folder / "model.onnx"),
        "input": {
            "name": "image", "size": [224, 224], "layout": "NCHW", "color": "RGB", "dtype": "float32",
            "resize": "stretch", "scale": 1 / 127.5, "mean": [1, 1, 1], "std": [1, 1, 1],
        },
        "output": {"name": "embedding", "dimension": 1280},
        "score": {"midpoint": 0.25, "width": 0.05, "near_duplicate_distance": 0.05},
    }  # fmt: skip
    (folder / "encoder.json").write_text(json.dumps(manifest))
    return target


def picture_cases() -> Path:
    """Pictures that were once decoded wrongly, and their correct counterparts."""
    folder = _SHARED / "cases" / "pictures"
    if not folder.exists():
        missing("../shared/cases/pictures", "these pictures are not part of the project")
    return folder
