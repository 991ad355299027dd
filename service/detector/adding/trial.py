"""Tries a detector on drawn scenes: whether it runs as its manifest says, and finds anything in the pictures at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from service.detector.outputs import Candidates
from service.detector.session import DetectorSession
from service.detector.suppression import ObjectLimits, objects_of
from service.encoder.adding.trial import Checks, State, TrialCheck
from service.encoder.builtin.generator.scenes import Scene, draw_scene
from service.encoder.preprocess import to_tensor
from service.encoder.session import first_line

SCENES = 8
_FIRST = 70_000  # apart from the scenes of benchmarks and tests
_MOST = 100
_SAME = 1e-4
_BESIDE = 0.5  # the share of boxes beside the picture above which their unit or order is wrong
Progress = Callable[[Sequence[int]], Iterable[int]]


def try_detector(session: DetectorSession, progress: Progress) -> Checks:
    """Looks at drawn scenes with several goods each. `progress` wraps the numbers that are gone through.

    Raises nothing of the detector's: what it raises becomes a check that failed.
    """
    spec = session.manifest.input
    found: list[tuple[Scene, Candidates]] = []
    try:
        for number in progress(range(_FIRST, _FIRST + SCENES)):
            scene = draw_scene(number)
            found.append((scene, session.detect(to_tensor(scene.pixels, spec))))
        first = found[0]
        again = session.detect(to_tensor(first[0].pixels, spec))
    except Exception as error:  # whatever a model raises
        return Checks((TrialCheck("runs", State.FAILED, first_line(error)),))
    runs = TrialCheck("runs", State.OK, f"{SCENES} drawn scenes, {sum(len(c.boxes) for _, c in found)} candidates")
    return Checks((runs, _repeated(first[1], again), _within(session, found), _finds(session, found)))


def _repeated(one: Candidates, other: Candidates) -> TrialCheck:
    alike = all(
        a.shape == b.shape and (not a.size or float(np.abs(a - b).max()) <= _SAME)
        for a, b in zip(one, other, strict=True)
    )
    if alike:
        return TrialCheck("repeats", State.OK, "the same picture gives the same boxes")
    return TrialCheck(
        "repeats", State.FAILED, "the same picture gives other boxes; export the model in evaluation mode"
    )


def _within(session: DetectorSession, found: Sequence[tuple[Scene, Candidates]]) -> TrialCheck:
    """Whether the boxes that count lie in the picture and have a size."""
    least = session.manifest.min_score
    boxes = np.concatenate([c.boxes[c.scores >= least] for _, c in found])
    if not len(boxes):
        return TrialCheck("boxes", State.OK, "none to judge")
    middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    good = ((middles > -0.05) & (middles < 1.05) & (sides > 0) & (sides < 1.5)).all(axis=1)
    said = f"{int(good.sum())} of {len(boxes)} boxes lie in the picture"
    if 1 - good.mean() > _BESIDE:
        return TrialCheck("boxes", State.FAILED, f"{said}; check --box-format, --size and --family")
    return TrialCheck("boxes", State.OK, said)


def _finds(session: DetectorSession, found: Sequence[tuple[Scene, Candidates]]) -> TrialCheck:
    manifest, limits = session.manifest, ObjectLimits(_MOST)
    counts = [len(objects_of(c, s.pixels.shape[:2], manifest, limits)) for s, c in found]
    goods = sum(len(s.boxes) for s, _ in found)
    said = f"{sum(counts)} objects in {SCENES} drawn scenes with {goods} goods"
    if not sum(counts):
        return TrialCheck(
            "finds", State.WARNING, f"{said}; a detector of named things may know none of them, else check --family"
        )
    if sum(counts) > 5 * goods:
        return TrialCheck("finds", State.WARNING, f"{said}, which are many; check --score-function and --min-score")
    return TrialCheck("finds", State.OK, said)
