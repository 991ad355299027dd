"""Builds the built-in encoder: `make encoder`. Needs the development packages (onnx).

python -m service.encoder.builtin.build            write encoder.onnx and encoder.json
python -m service.encoder.builtin.build --check    exit 1 where the committed files differ from what is built
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from service.encoder.builtin.descriptor import DIMENSION, SIDE, build_model
from service.encoder.manifest import MANIFEST_NAME, Manifest

_FOLDER = Path(__file__).parent
_MODEL_NAME = "encoder.onnx"


def build_files() -> dict[str, bytes]:
    """The files of the encoder by name."""
    model = build_model().SerializeToString(deterministic=True)
    manifest = Manifest.model_validate(
        {
            "id": "builtin",
            "version": "1",
            "license": "Apache-2.0",
            "description": "Colour and oriented gradients by formula; nothing learnt, no photograph seen.",
            "model": _MODEL_NAME,
            "sha256": hashlib.sha256(model).hexdigest(),
            "input": {
                "name": "pixels", "size": [SIDE, SIDE], "layout": "NHWC", "color": "RGB", "dtype": "uint8",
                "resize": "stretch",
            },
            "output": {"name": "embedding", "dimension": DIMENSION},
            "score": {"midpoint": 0.12, "width": 0.03, "near_duplicate_distance": 0.03},
        }
    )  # fmt: skip
    text = json.dumps(manifest.model_dump(), indent=2) + "\n"
    return {_MODEL_NAME: model, MANIFEST_NAME: text.encode()}


def main(arguments: list[str]) -> int:
    """Writes or checks the files; returns the exit code."""
    files = build_files()
    if "--check" in arguments:
        stale = [name for name, content in files.items() if (_FOLDER / name).read_bytes() != content]
        if stale:
            print(f"not what the script builds: {', '.join(stale)}; run `make encoder`", file=sys.stderr)
        return 1 if stale else 0
    for name, content in files.items():
        (_FOLDER / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
