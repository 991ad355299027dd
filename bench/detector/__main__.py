"""`make bench-objects`: the boxes of the built-in detector, and what searching by them adds. Writes JSON.

Boxes are measured on drawn scenes that no training saw. Searching is measured on drawn shop scenes of one to eight
goods, and on the grocery photographs of ../shared (not part of the project), with the built-in encoder and MobileNetV2.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.detector.oracles import differs_from_border, whole_picture
from bench.detector.shop import MOST_BOXES as MOST_PARTS
from bench.detector.shop import drawn_shop, measured
from bench.detector.splitting import MOST_BOXES, Detect, gains
from bench.encoders import packs
from bench.encoders.builtin import PRESENT, REFERENCE, encoder_of, mobilenet_folder, tracked
from bench.environment import write_result
from service.detector.adding.comparison import looked
from service.detector.builtin.build import FOLDER
from service.detector.manifest import read_detector
from service.detector.scoring import Array, average_precision, mean_average_precision, recall
from service.detector.session import DetectorSession
from service.detector.suppression import ObjectLimits
from service.encoder.builtin.generator.scenes import Scene, draw_scene
from service.encoder.preprocess import to_tensor
from service.encoder.registry import BUILTIN_FOLDER

SCENES, FIRST_SCENE, MOST_FOUND = 500, 100_000, 100
SIZES = {"small (below 0.15 of a side)": (0.0, 0.15), "middle": (0.15, 0.4), "large (from 0.4)": (0.4, 9.0)}
CLOCKS = ("elapsed", "processor")
NUMBERS = {"1 good": (1, 1), "2 to 4": (2, 4), "5 and more": (5, 99)}


def main() -> None:
    """Measures, prints and writes bench/results/objects.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES, help="how many drawn scenes")
    parser.add_argument("--limit", type=int, default=0, help="take so many photographs only")
    parser.add_argument("--speed-alone", action="store_true", help="measure the speed, print it, and write nothing")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.speed_alone:
        print(milliseconds())
        return
    scenes = [draw_scene(FIRST_SCENE + n) for n in range(options.scenes)]
    least = read_detector(FOLDER).min_score
    every, usual = detector(0.01, MOST_FOUND), detector(least, MOST_FOUND)
    contenders = {"built-in": every, "whole picture": whole_picture, "differs from border": differs_from_border}
    boxes: dict[str, Any] = {name: precision(scenes, detect) for name, detect in contenders.items()}
    boxes["built-in"] |= {"least score": least, **at_least_score(scenes, usual)}
    result = {
        "scenes": len(scenes), "goods": sum(len(s.boxes) for s in scenes), "boxes": boxes,
        "milliseconds": milliseconds(),
        "shop": shop(detector(least, MOST_PARTS)), "grocery": splitting(options.limit, detector(least, MOST_BOXES)),
    }  # fmt: skip
    for name, found in result.items():
        print(name, found)
    print(write_result("objects", result))


def detector(least_score: float, most: int) -> Detect:
    """The built-in detector as the service runs it, on one core."""
    session = DetectorSession(FOLDER, read_detector(FOLDER), 1)
    return lambda pixels: looked(session, pixels, ObjectLimits(most, least_score))


def precision(scenes: list[Scene], detect: Detect) -> dict[str, float]:
    """Average precision, 0 to 1."""
    found, truth = [detect(s.pixels) for s in scenes], [s.boxes.astype(np.float64) for s in scenes]
    return {"AP50": average_precision(found, truth, 0.5), "AP50:95": mean_average_precision(found, truth)}


def at_least_score(scenes: list[Scene], detect: Detect) -> dict[str, Any]:
    """At the usual least score: recall by size and by how many goods there are, precision, and boxes where none is."""
    found, truth = [detect(s.pixels) for s in scenes], [s.boxes.astype(np.float64) for s in scenes]
    by_size = {name: recall(found, truth, lambda b, s=span: _sized(b, *s)) for name, span in SIZES.items()}  # type: ignore[misc]
    by_number = {
        name: recall(found, truth, lambda b, low=low, high=high: np.full(len(b), low <= len(b) <= high))  # type: ignore[misc]
        for name, (low, high) in NUMBERS.items()
    }
    given, right = sum(len(f.boxes) for f in found), recall(found, truth, lambda b: np.full(len(b), True)) or 0.0
    empty = [len(f.boxes) for f, t in zip(found, truth, strict=True) if not len(t)]
    return {
        "recall": right, "recall by size": by_size, "recall by number": by_number,
        "precision": right * sum(map(len, truth)) / max(given, 1),
        "boxes in an empty scene": float(np.mean(empty or [0])),
    }  # fmt: skip


def milliseconds(rounds: int = 60) -> dict[str, dict[str, float]]:
    """Medians of one picture on one core, by the clock and of the processor's time: the model of the detector, all from
    the pixels to the boxes, and for comparison the built-in encoder."""
    manifest, encode = read_detector(FOLDER), encoder_of(BUILTIN_FOLDER)
    session, detect = DetectorSession(FOLDER, manifest, 1), detector(manifest.min_score, MOST_FOUND)
    pixels = draw_scene(FIRST_SCENE, 480).pixels
    tensor = to_tensor(pixels, manifest.input)
    acts: dict[str, Callable[[], object]] = {
        "model": lambda: session.detect(tensor),
        "pixels to boxes": lambda: detect(pixels),
        "built-in encoder": lambda: encode([pixels]),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            started, busy = time.perf_counter(), time.process_time()
            act()
            taken[name].append((time.perf_counter() - started, time.process_time() - busy))
    return {
        name: {
            clock: round(1000 * statistics.median(one), 2)
            for clock, one in zip(CLOCKS, zip(*times[5:], strict=True), strict=True)
        }
        for name, times in taken.items()
    }


def shop(detect: Detect) -> dict[str, Any]:
    """What boxes add on drawn scenes with several goods, by encoder."""
    drawn = drawn_shop()
    boxes = {number: [detect(p) for p in scenes] for number, scenes in drawn.scenes.items()}
    found: dict[str, Any] = {"goods": len(drawn.catalogue), "scenes of each number": len(boxes[1])}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in ((PRESENT, BUILTIN_FOLDER), (REFERENCE, mobilenet_folder(Path(folder)))):
            found[name] = measured(drawn, encoder_of(path), boxes)
    return found


def splitting(limit: int, detect: Detect) -> dict[str, Any]:
    """What boxes add on the photographs of groceries, by encoder."""
    pack = packs.grocery(limit)
    boxes = [detect(p) for p in pack.pictures[pack.catalogue :]]
    found: dict[str, Any] = {"photographs": len(boxes), "boxes of each": float(np.mean([len(b.boxes) for b in boxes]))}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in ((PRESENT, BUILTIN_FOLDER), (REFERENCE, mobilenet_folder(Path(folder)))):
            ways = gains(pack, tracked(name, encoder_of(path)), boxes)
            found[name] = {way: {k: round(v, 1) for k, v in scores.items()} for way, scores in ways.items()}
    return found


def _sized(boxes: Array, low: float, high: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    longest = (boxes[:, 2:] - boxes[:, :2]).max(1)
    chosen: np.ndarray[Any, np.dtype[np.bool_]] = (longest >= low) & (longest < high)
    return chosen


if __name__ == "__main__":
    main()
