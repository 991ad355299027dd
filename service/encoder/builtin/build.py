"""Builds the built-in encoder: `make encoder`. Needs the development packages (onnx), but no PyTorch.

python -m service.encoder.builtin.build              draw pairs, fit the projections, write everything (minutes)
python -m service.encoder.builtin.build --assemble   write encoder.onnx and encoder.json from the existing weights
python -m service.encoder.builtin.build --check      exit 1 if the files differ from what the code makes of the weights
python -m service.encoder.builtin.build --verify     fit again and compare the vectors with those of the committed file
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from service.encoder.builtin.assemble import OUTPUT, Shares, encoder_model
from service.encoder.builtin.features import INPUT, prepared
from service.encoder.builtin.fit import Amounts, fit_codebook, fit_projections
from service.encoder.builtin.generator.pairs import draw_pair
from service.encoder.builtin.graph import Precision
from service.encoder.builtin.weights import PROJECTIONS, Weights, read_weights
from service.encoder.manifest import MANIFEST_NAME, Manifest, ScoreSpec
from service.encoder.session import load_model

VERSION = "3"
MODEL_NAME = "encoder.onnx"
SHARES = Shares(colour=0.18, instance=0.52, family=0.3)
SCORE = ScoreSpec(midpoint=0.26, width=0.07, near_duplicate_distance=0.1)  # calibration.py measures it
PRECISION: Precision = "int8"
TOLERANCE = 0.01  # largest difference of a cosine between this build and another
FOLDER = Path(__file__).parent
_VERIFY_FROM = 1 << 41  # numbers of the pictures that builds are compared on


def build_files(weights: Weights, precision: Precision = PRECISION) -> dict[str, bytes]:
    """The files of the encoder by name."""
    model = encoder_model(weights, SHARES, precision).SerializeToString(deterministic=True)
    colour, instance, family = weights.part_sizes
    shape = instance + family
    manifest = Manifest.model_validate(
        {
            "id": "builtin",
            "version": VERSION,
            "license": "Apache-2.0",
            "description": "Learnt from drawn pictures alone; no photograph seen.",
            "model": MODEL_NAME,
            "sha256": hashlib.sha256(model).hexdigest(),
            "input": INPUT.model_dump(),
            "output": {
                "name": OUTPUT,
                "dimension": colour + shape,
                "blocks": [
                    {"name": "colour", "size": colour, "share": SHARES.colour},
                    {"name": "shape", "size": shape, "share": round(SHARES.instance + SHARES.family, 6)},
                ],
            },
            "score": SCORE.model_dump(),
        }
    )
    text = json.dumps(manifest.model_dump(exclude={"text"}), indent=2) + "\n"
    return {MODEL_NAME: model, MANIFEST_NAME: text.encode()}


def stale_files() -> list[str]:
    """The committed files that differ from what the code makes of the committed weights.

    Processors differ in the last digit of a computed sine. Such differences of constants, and of the model's digest in
    the manifest, are ignored.
    """
    model, manifest = (FOLDER / MODEL_NAME).read_bytes(), (FOLDER / MANIFEST_NAME).read_text()
    built = build_files(read_weights())
    stale = [] if same_graph(model, built[MODEL_NAME]) else [MODEL_NAME]
    here, there = (hashlib.sha256(m).hexdigest() for m in (built[MODEL_NAME], model))
    if built[MANIFEST_NAME].decode().replace(here, there) != manifest:
        stale.append(MANIFEST_NAME)
    return stale


def same_graph(model: bytes, other: bytes) -> bool:
    """Whether two models are equal except for the last digits of their constants."""
    graphs = [onnx.load_from_string(m).graph for m in (model, other)]
    constants = [[onnx.numpy_helper.to_array(t) for t in g.initializer] for g in graphs]
    for graph in graphs:
        for constant in graph.initializer:
            constant.ClearField("raw_data")
    rest = [g.SerializeToString(deterministic=True) for g in graphs]
    return rest[0] == rest[1] and all(np.allclose(a, b, rtol=1e-4, atol=1e-10) for a, b in zip(*constants, strict=True))


def largest_difference(model: bytes, other: bytes, pictures: int = 200) -> float:
    """The largest difference between two models in the cosines of drawn pictures."""
    drawn = [draw_pair(number, "object") for number in range(_VERIFY_FROM, _VERIFY_FROM + pictures // 2)]
    pixels = np.stack([prepared(p) for pair in drawn for p in (pair.first, pair.second)])
    vectors = [load_model(m, threads=2).run([OUTPUT], {INPUT.name: pixels})[0] for m in (model, other)]
    cosines = [v @ v.T for v in vectors]
    return float(np.abs(cosines[0] - cosines[1]).max())


def main(arguments: list[str]) -> int:
    """Writes, checks or verifies the files. Returns the exit code."""
    if "--check" in arguments:
        stale = stale_files()
        if stale:
            print(f"out of date: {', '.join(stale)}; run `make encoder`", file=sys.stderr)
        return 1 if stale else 0
    if "--verify" in arguments:
        return _verify()
    if "--assemble" not in arguments:
        fit_projections(Amounts(), fit_codebook()).save(PROJECTIONS)
    for name, content in build_files(read_weights()).items():
        (FOLDER / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


def _verify() -> int:
    committed = (FOLDER / MODEL_NAME).read_bytes()
    weights = read_weights()
    again = fit_projections(Amounts(), weights.projections.codebook)
    built = build_files(replace(weights, projections=again))[MODEL_NAME]
    difference = largest_difference(committed, built)
    print(f"same bytes: {committed == built}; largest difference of a cosine: {difference:.5f} (allowed: {TOLERANCE})")
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
