"""`make fuzz`: coverage-guided fuzzing of the header probe, the decoders and the feed parsers, with atheris.

Findings are in build/fuzz. A finding becomes a test case. Arguments after the target go to libFuzzer.

python -m tests.fuzz.harness probe -max_total_time=600
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.fuzz.mutations import starts

CORPUS = Path("build/fuzz")


def main() -> None:
    """Fuzzes the target in the first argument."""
    try:
        import atheris
    except ImportError:
        raise SystemExit("atheris is not installed: .venv/bin/pip install atheris") from None
    with atheris.instrument_imports():
        from service.errors import ServiceError
        from service.intake.colour import ProfileUnusable, by_profile
        from service.intake.decode import DecodeOptions, decode, decode_picture, prepare_opencv
        from service.intake.limits import PictureLimits
        from service.intake.probe import probe
        from service.sync.feeds.model import FeedError, FeedOptions
        from service.sync.feeds.reader import read_feed

    prepare_opencv()
    limits = PictureLimits(max_pixels=1_000_000)
    every = PictureLimits(max_pixels=1_000_000, formats=("avif", "heic", "tiff", "jxl"))
    blank = np.full((4, 4, 3), 200, np.uint8)
    targets: dict[str, Callable[[bytes], object]] = {
        "probe": probe,
        "decode": lambda content: decode(content, limits),
        "scaled": lambda content: decode(content, limits, None, 32),
        "partial": lambda content: decode_picture(content, every, DecodeOptions(partial=True)),
        "optional": lambda content: decode_picture(content, every, DecodeOptions()),
        "profile": lambda content: by_profile(blank, content),
        "feed": lambda content: list(
            read_feed(io.BytesIO(content), len(content), FeedOptions(), "https://s.example/")[1]
        ),
    }
    target = targets[sys.argv[1]]

    def once(content: bytes) -> None:
        try:
            target(content)
        except (ServiceError, ProfileUnusable, FeedError):
            pass

    folder = CORPUS / sys.argv[1]
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(starts(sys.argv[1])):
        (folder / f"seed-{number}").write_bytes(picture)
    atheris.Setup([sys.argv[0], str(folder), f"-artifact_prefix={folder}/", *sys.argv[2:]], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
