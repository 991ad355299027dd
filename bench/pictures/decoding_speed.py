"""Times the decoder of the imported project: `python decoding_speed.py FOLDER` prints JSON.

It contains milliseconds of a core for each file of the folder, the minimum of several runs. Large JPEGs are also
measured at the reduced size that the built-in encoder needs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from service.intake.decode import decode, prepare_opencv
from service.intake.limits import PictureLimits

_RUNS, _RUN_S = 5, 0.05
_ENOUGH = 336


def best_ms(content: bytes, enough: int) -> float:
    """The minimum for one picture."""
    limits = PictureLimits()
    started, count = time.process_time(), 0
    while time.process_time() - started < _RUN_S:
        decode(content, limits, None, enough)
        count += 1
    runs = []
    for _ in range(_RUNS):
        started = time.process_time()
        for _ in range(count):
            decode(content, limits, None, enough)
        runs.append((time.process_time() - started) / count)
    return 1000 * min(runs)


def main() -> None:
    """Measures every file."""
    prepare_opencv()
    found = {}
    for path in sorted(Path(sys.argv[1]).iterdir()):
        content = path.read_bytes()
        found[path.name] = best_ms(content, 0)
        if path.name.startswith("JPEG") and "1600" in path.name:
            found[f"{path.name}, scaled"] = best_ms(content, _ENOUGH)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
