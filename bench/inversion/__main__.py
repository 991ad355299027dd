"""`make bench-inversion`: what can be read out of what is stored of pictures.

An attacker who has an encoder draws pictures, encodes them, and learns from them to undo what the encoder does. He is
tried on drawn pictures that he has not seen, and on photographs, of which only figures are kept. Writes
bench/results/inversion.json, from which `make docs` makes tables in docs/privacy.md, and docs/images/inversion.jpg.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
from rich.console import Console
from rich.table import Table

from bench.encoders.builtin import REFERENCE, mobilenet_folder
from bench.encoders.packs import SHARED
from bench.environment import write_result
from bench.inversion.scene import Sizes, drawn_scene
from service.encoder.registry import BUILTIN_FOLDER

if TYPE_CHECKING:
    from bench.inversion.attack import Made
    from bench.inversion.scene import Scene

TARGET = Path(__file__).parents[2] / "docs" / "images" / "inversion.jpg"
BUILTIN = "built-in"
_SHOWN = 10


def main() -> None:
    """Measures, prints tables, writes the result and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", type=int, default=Sizes.training, help="pictures that the attacker draws")
    parser.add_argument("--photographs", type=int, default=Sizes.photographs, help="at most, of each pack")
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        raise SystemExit("PyTorch is not installed; run `make torch`")
    from bench.inversion.attack import attack
    from bench.inversion.decoder import Training

    cv2.setNumThreads(1)
    scene = drawn_scene(Sizes(training=options.training, photographs=options.photographs))
    with tempfile.TemporaryDirectory() as folder:
        folders, skipped = encoders(Path(folder))
        result, made = attack(scene, folders, Training())
    if not scene.photographs:
        skipped["photographs"] = "no ../shared/data, or none were asked for"
    result["skipped"] = skipped
    show(result)
    print(write_result("inversion", result))
    draw(scene, made)
    print(TARGET)


def encoders(folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Encoders by name, and those that are skipped, with the reason."""
    if (SHARED / "models" / "mobilenet_v2_224" / "model.onnx").exists():
        return {BUILTIN: BUILTIN_FOLDER, REFERENCE: mobilenet_folder(folder)}, {}
    return {BUILTIN: BUILTIN_FOLDER}, {REFERENCE: "no ../shared/models/mobilenet_v2_224"}


def draw(scene: Scene, made: Made, target: Path = TARGET) -> None:
    """Writes the sheet of the first reconstructions. It shows drawn pictures alone."""
    from bench.inversion.reconstruction import MEAN, NEAREST, reduced
    from bench.inversion.sheet import sheet_of

    columns = {"original": reduced(scene.collection.pictures[:_SHOWN])}
    columns["nearest of\nattacker's"] = next(iter(made.values()))[NEAREST][:_SHOWN]
    for name, by_kind in made.items():
        short = name.split(" ")[0]
        columns |= {f"{short}:\n{k}": p[:_SHOWN] for k, p in by_kind.items() if k not in (MEAN, NEAREST)}
    cv2.imwrite(str(target), sheet_of(columns)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def show(result: Mapping[str, Any]) -> None:
    """Prints the figures as tables."""
    for name, found in result["encoders"].items():
        for pictures, rows in found["reconstruction"].items():
            table = Table("", *next(iter(rows.values())), title=f"{name}: {pictures}", box=None)
            for kind, figures in rows.items():
                table.add_row(kind, *map(str, figures.values()))
            Console(width=160).print(table)
        for kind, figures in found["attributes"].items():
            print(f"{name}: {kind}: {figures}")
        for kind, by_edit in found["membership"].items():
            print(f"{name}: {kind}: {by_edit}")
    print(f"guessed: {result['guessed']}\nlearnt: {result['learnt']}\nskipped: {result['skipped']}")


if __name__ == "__main__":
    main()
