"""Measures detectors side by side, on drawn scenes whose boxes are known or on an operator's own pictures.

Labels are not compared: detectors of different classes could not be. Without known boxes, what is counted is how many
objects each finds, and how far they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.detector.scoring import Array, Found, average_precision, matches, mean_average_precision
from service.detector.session import DetectorSession
from service.detector.suppression import ObjectLimits, objects_of
from service.encoder.alterations import Picture
from service.encoder.builtin.generator.scenes import draw_scene
from service.encoder.preprocess import to_tensor
from service.runtime.clock import Stopwatch

DRAWN_SCENES = 60
_FIRST = 80_000  # apart from the scenes of benchmarks, tests and trials
_MOST, _LEAST_SCORE, _OVERLAP = 100, 0.01, 0.5
_TIMED_ROUNDS, _TIMED_SIDES = 15, (480, 360)


@dataclass(frozen=True)
class MarkedPicture:
    """pixels: uint8 (height, width, 3) RGB. boxes: float64 (n, 4), left, top, right, bottom in shares of the picture;
    None: nobody has marked any."""

    pixels: Picture
    boxes: Array | None = None


@dataclass(frozen=True)
class Measured:
    """What one detector found.

    - `ap50`, `ap`: average precision in per cent, of boxes that are right at an intersection over union of 0.5, and the
      mean up to 0.95. `recall`, `precision`: in per cent, at the usual least score. None where no boxes are known.
    - `objects`: of a picture, at the usual least score. `agrees`: the share of the other's objects, in per cent, that
      this one finds too; None where there is no other, or it found nothing.
    - `ms`: of one picture by itself, from pixels to objects, the best of _TIMED_ROUNDS: least disturbed by what else
      runs.
    """

    detector_id: str
    ap50: float | None
    ap: float | None
    recall: float | None
    precision: float | None
    objects: float
    agrees: float | None
    ms: float


@dataclass(frozen=True)
class Comparison:
    """rows: one for each detector, in order. boxes: how many were known; 0: none."""

    pictures: int
    boxes: int
    rows: tuple[Measured, ...]


def looked(session: DetectorSession, pixels: Picture, limits: ObjectLimits) -> Found:
    """What a detector finds in a picture, as the service does it."""
    manifest = session.manifest
    candidates = session.detect(to_tensor(pixels, manifest.input))
    found = objects_of(candidates, (pixels.shape[0], pixels.shape[1]), manifest, limits)
    regions = [(o.region.left, o.region.top, o.region.right, o.region.bottom) for o in found]
    return Found(np.array(regions, np.float64).reshape(-1, 4), np.array([o.score for o in found]))


def drawn_scenes() -> Iterator[MarkedPicture]:
    """Scenes that no training of the built-in detector saw."""
    for number in range(_FIRST, _FIRST + DRAWN_SCENES):
        scene = draw_scene(number)
        yield MarkedPicture(scene.pixels, scene.boxes.astype(np.float64))


def compare(detectors: Sequence[DetectorSession], pictures: Iterable[MarkedPicture]) -> Comparison:
    """Looks at all pictures with all detectors; only one picture is in memory at a time.

    Pictures without marks count as pictures without boxes if any other has marks. Raises ValueError where there is no
    picture, and what the detectors raise.
    """
    found: list[list[Found]] = [[] for _ in detectors]
    marks: list[Array | None] = []
    for picture in pictures:
        marks.append(picture.boxes)
        for session, rows in zip(detectors, found, strict=True):
            rows.append(looked(session, picture.pixels, ObjectLimits(_MOST, _LEAST_SCORE)))
    if not marks:
        raise ValueError("there is no picture to measure on")
    truth = [np.empty((0, 4)) if m is None else m for m in marks]
    known = any(m is not None for m in marks)
    usual = [[_at_least(f, s.manifest.min_score) for f in rows] for s, rows in zip(detectors, found, strict=True)]
    made = tuple(
        _measured(session, rows, usual[n], usual[1 - n] if len(detectors) == 2 else None, truth if known else None)
        for n, (session, rows) in enumerate(zip(detectors, found, strict=True))
    )
    return Comparison(len(marks), sum(map(len, truth)), made)


def _measured(
    session: DetectorSession, every: Sequence[Found], usual: Sequence[Found], other: Sequence[Found] | None,
    truth: Sequence[Array] | None,
) -> Measured:  # fmt: skip
    given = sum(len(f.boxes) for f in usual)
    ap50 = ap = recall = precision = None
    if truth is not None:
        right, wanted = _right(usual, truth), sum(map(len, truth))
        ap50, ap = average_precision(every, truth, _OVERLAP), mean_average_precision(every, truth)
        recall, precision = right / wanted if wanted else None, right / given if given else None
    others = sum(len(f.boxes) for f in other or ())
    agrees = _right(usual, [f.boxes for f in other or ()]) / others if others else None
    return Measured(
        session.manifest.id, _per_cent(ap50), _per_cent(ap), _per_cent(recall), _per_cent(precision),
        round(given / len(usual), 2), _per_cent(agrees), round(_least_ms(session), 1),
    )  # fmt: skip


def _right(found: Sequence[Found], truth: Sequence[Array]) -> int:
    """How many boxes of the truth are found."""
    return sum(int((matches(f, t, _OVERLAP) >= 0).sum()) for f, t in zip(found, truth, strict=True))


def _at_least(found: Found, score: float) -> Found:
    good = found.scores >= score
    return Found(found.boxes[good], found.scores[good])


def _per_cent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _least_ms(session: DetectorSession) -> float:
    picture = np.random.default_rng(0).integers(0, 256, (*_TIMED_SIDES, 3), np.uint8)

    def once() -> float:
        watch = Stopwatch()
        looked(session, picture, ObjectLimits(_MOST))
        return watch.seconds() * 1000

    return min(once() for _ in range(_TIMED_ROUNDS))
