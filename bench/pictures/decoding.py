"""`make bench-decoding`: retrieval of colours across colour spaces, and the cost of decoding.

One drawn shoe in 48 colours is indexed as sRGB. Each is then searched for as a camera or program with another colour
space would store it, with its ICC profile, and with profiles ignored. The cost is milliseconds of one core per picture,
by kind; with `--against FOLDER`, another checkout of this project is measured in alternation.
"""

from __future__ import annotations

import argparse
import colorsys
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.environment import write_result
from examples.catalogue.canvas import Canvas, Material, Pose
from examples.catalogue.grounds import white
from examples.catalogue.products import KINDS
from service.encoder.contract import picture_vectors
from service.encoder.manifest import read_manifest
from service.encoder.preprocess import enough_pixels, to_tensor
from service.encoder.registry import BUILTIN_FOLDER
from service.encoder.session import EncoderSession
from service.intake.decode import decode
from service.intake.limits import PictureLimits
from tests.support.made_pictures import profiles

COLOURS, ROUNDS = 48, 5
SPACES = ("sRGB", "Display P3", "Adobe RGB", "ProPhoto RGB")
Pixels = NDArray[np.uint8]


def shoes(every: int = 1, side: int = 440) -> list[Pixels]:
    """RGB pictures, (side, side, 3): 16 hues in three shades, or an even subset."""
    made: list[Pixels] = []
    for number in range(0, COLOURS, every):
        shade = ((0.85, 0.75), (0.55, 0.9), (0.9, 0.45))[number % 3]
        colour = colorsys.hsv_to_rgb(number // 3 / (COLOURS / 3), *shade)
        canvas = Canvas(white(), Pose(size=0.84))
        KINDS["sneaker"](canvas, Material(colour, (0.96, 0.95, 0.93)), 7)
        drawn = cv2.resize(canvas.finish(), (side, side), interpolation=cv2.INTER_AREA)
        made.append(np.ascontiguousarray(drawn[:, :, ::-1]).astype(np.uint8))
    return made


def stored(rgb: Pixels, space: str, *, profile: bool) -> bytes:
    """The picture as a JPEG in another colour space, with or without its profile."""
    values = np.round(profiles.in_space(rgb, space) * 255).astype(np.uint8)
    out = io.BytesIO()
    embedded = {"icc_profile": profiles.matrix_profile(space)} if profile else {}
    Image.fromarray(values).save(out, "JPEG", quality=92, **embedded)
    return out.getvalue()


def found_first(pictures: list[Pixels]) -> dict[str, dict[str, float]]:
    """The percentage of colours whose picture is the first hit, by colour space, with and without profiles."""
    manifest = read_manifest(BUILTIN_FOLDER)
    session = EncoderSession(BUILTIN_FOLDER, manifest, 1)

    def vectors(contents: list[bytes]) -> NDArray[np.float32]:
        enough, limits = enough_pixels(manifest.input), PictureLimits()
        tensors = [to_tensor(decode(c, limits, None, enough), manifest.input)[None] for c in contents]
        return np.concatenate([picture_vectors(session, tensor) for tensor in tensors])

    indexed = vectors([stored(p, "sRGB", profile=False) for p in pictures])
    table = {}
    for space in SPACES:
        row = {}
        for name, profile in (("converted", True), ("profile ignored", False)):
            nearest = (vectors([stored(p, space, profile=profile) for p in pictures]) @ indexed.T).argmax(axis=1)
            row[name] = 100 * float((nearest == np.arange(len(pictures))).mean())
        table[space] = row
    return table


def pictures_to_time(folder: Path) -> None:
    """Writes one picture of each kind."""
    random = np.random.default_rng(0)
    patches = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
    for size in ((320, 240), (1600, 1200)):
        grain = random.normal(0, 4, (size[1], size[0], 1))
        picture = Image.fromarray(np.clip(np.asarray(patches.resize(size, 3)) + grain, 0, 255).astype(np.uint8))
        wide, narrow = profiles.matrix_profile("Display P3"), profiles.matrix_profile("sRGB")
        kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
            "JPEG": (picture, "JPEG", {"quality": 88}),
            "JPEG, profile of sRGB": (picture, "JPEG", {"quality": 88, "icc_profile": narrow}),
            "JPEG, Display P3": (picture, "JPEG", {"quality": 88, "icc_profile": wide}),
            "JPEG, inks": (picture.convert("CMYK"), "JPEG", {"quality": 88}),
            "PNG": (picture, "PNG", {}), "PNG, alpha": (picture.convert("RGBA"), "PNG", {}),
            "PNG, palette": (picture.convert("P"), "PNG", {}), "WebP": (picture, "WEBP", {}),
            "GIF": (picture.convert("P"), "GIF", {}), "BMP": (picture, "BMP", {}),
        }  # fmt: skip
        for name, (made, kind, options) in kinds.items():
            made.save(folder / f"{name}, {size[0]} px", kind, **options)


def times(project: Path, folder: Path) -> dict[str, float]:
    """Milliseconds per picture, decoded by the project in that folder."""
    script = Path(__file__).with_name("decoding_speed.py")
    environment = {**os.environ, "PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        [sys.executable, str(script), str(folder)], env=environment, capture_output=True, text=True, check=True,
        cwd=project,
    )  # fmt: skip
    return dict(json.loads(said.stdout))


def speed(against: Path | None, rounds: int) -> dict[str, dict[str, float]]:
    """Medians of `rounds`, alternating."""
    projects = {"now": Path(__file__).parents[2]} | ({"before": against.resolve()} if against else {})
    with tempfile.TemporaryDirectory() as temporary:
        pictures_to_time(Path(temporary))
        measured = [{n: times(project, Path(temporary)) for n, project in projects.items()} for _ in range(rounds)]
    return {k: {n: statistics.median(m[n][k] for m in measured) for n in projects} for k in measured[0]["now"]}


def main() -> None:
    """Measures, prints and writes bench/results/decoding.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout, to measure in turn")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    colours, cost = found_first(shoes()), speed(arguments.against, arguments.rounds)
    for title, rows in (("same colour found first, %", colours), ("ms a picture", cost)):
        names = list(next(iter(rows.values())))
        table = Table(title, *names, box=None)
        for name, row in rows.items():
            table.add_row(name, *(f"{row[n]:.3g}" for n in names))
        Console().print(table)
    print(write_result("decoding", {"found_first_percent": colours, "ms_a_picture": cost}))


if __name__ == "__main__":
    main()
