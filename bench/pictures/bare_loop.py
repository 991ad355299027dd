"""The baseline for the service: decode, resize, run, and nothing else.

It is a separate process with ONNX Runtime's arena and the allocator's defaults, like a script. `one`: a loop over
single pictures, with the model on all cores. `many`: one such loop per core, each with a single-threaded model, which
is the maximum throughput of the machine.

python -m bench.pictures.bare_loop ENCODER_FOLDER PICTURES_FOLDER full|scaled one|many    prints JSON
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from service.encoder.manifest import read_manifest
from service.encoder.preprocess import enough_pixels, to_tensor
from service.intake.decode import decode
from service.intake.limits import PictureLimits


def main() -> None:
    """Measures once over all pictures, after a warm-up."""
    folder, pictures, how, loops = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    manifest = read_manifest(folder)
    spec = manifest.input.model_copy(update={"decode": how})
    cores = len(os.sched_getaffinity(0))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores if loops == "one" else 1
    session = onnxruntime.InferenceSession(str(folder / manifest.model), options, providers=["CPUExecutionProvider"])
    cv2.setNumThreads(1)
    limits = PictureLimits()

    def one(picture: bytes) -> np.ndarray:
        tensor = to_tensor(decode(picture, limits, None, enough_pixels(spec)), spec)
        return session.run([manifest.output.name], {spec.name: tensor[None]})[0]

    content = [p.read_bytes() for p in sorted(pictures.iterdir())]
    with ThreadPoolExecutor(1 if loops == "one" else cores) as pool:
        list(pool.map(one, content[: 4 * cores]))
        started = time.perf_counter()
        list(pool.map(one, content))
        print(json.dumps({"pictures_per_second": len(content) / (time.perf_counter() - started)}))


if __name__ == "__main__":
    main()
