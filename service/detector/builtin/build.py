"""Builds the built-in detector from the committed weights. Needs the development packages (onnx), but no PyTorch.

python -m service.detector.builtin.build           write detector.onnx and detector.json: `make detector`
python -m service.detector.builtin.build --check   exit 1 if the files differ from what the code makes of the weights
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from service.detector.builtin.network import BOXES, INPUT, SCORES, SIDE, WEIGHTS, DetectorWeights, detector_model
from service.detector.manifest import MANIFEST_NAME, DetectorManifest

VERSION = "1"
MODEL_NAME = "detector.onnx"
MIN_SCORE, MAX_OVERLAP = 0.45, 0.5  # the best F1 on 400 drawn scenes, others than those of the benchmark
FOLDER = Path(__file__).parent


def build_files(weights: DetectorWeights) -> dict[str, bytes]:
    """The files of the detector by name."""
    model = detector_model(weights).SerializeToString(deterministic=True)
    manifest = DetectorManifest.model_validate(
        {
            "id": "builtin",
            "version": VERSION,
            "license": "Apache-2.0",
            "description": "Finds goods of any kind. Learnt from drawn scenes alone; no photograph seen.",
            "model": MODEL_NAME,
            "sha256": hashlib.sha256(model).hexdigest(),
            "input": {
                "name": INPUT, "size": [SIDE, SIDE], "layout": "NHWC", "color": "RGB", "dtype": "uint8",
                "decode": "scaled", "trim": "none", "resize": "stretch",
            },
            "output": {"shape": "ssd", "boxes": BOXES, "scores": SCORES, "box_format": "xyxy", "box_unit": "fraction"},
            "labels": ["object"],
            "min_score": MIN_SCORE,
            "max_overlap": MAX_OVERLAP,
        }
    )  # fmt: skip
    return {MODEL_NAME: model, MANIFEST_NAME: (json.dumps(manifest.model_dump(), indent=2) + "\n").encode()}


def stale_files(folder: Path = FOLDER) -> list[str]:
    """The files in the folder that are not, byte for byte, what the code makes of the committed weights."""
    built = build_files(DetectorWeights.load(WEIGHTS))
    return [name for name, content in built.items() if (folder / name).read_bytes() != content]


def main(arguments: list[str]) -> int:
    """Writes or checks the files. Returns the exit code."""
    if "--check" in arguments:
        stale = stale_files()
        if stale:
            print(f"out of date: {', '.join(stale)}; run `make detector`", file=sys.stderr)
        return 1 if stale else 0
    for name, content in build_files(DetectorWeights.load(WEIGHTS)).items():
        (FOLDER / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
