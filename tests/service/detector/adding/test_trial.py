"""Detectors on trial: one that works, and ones that are wrong in one way each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from service.detector.adding.trial import SCENES, try_detector
from service.detector.builtin.build import FOLDER
from service.detector.manifest import read_detector
from service.detector.outputs import Candidates
from service.detector.session import DetectorSession
from service.encoder.adding.trial import State
from tests.support.data.detectors import graphs as detectors
from tests.support.data.detectors.graphs import SIDE, write_detector

PLANAR = {"name": "pictures", "size": [SIDE, SIDE]}


def states(session: DetectorSession) -> dict[str, State]:
    return {check.name: check.state for check in try_detector(session, lambda numbers: numbers).checks}


def of_boxes(folder: Path, centres: np.ndarray) -> DetectorSession:
    """A YOLO model that finds these, whatever it sees."""
    logits = np.full((len(centres), 1), 3.0)
    fields = {"input": PLANAR, "output": {"shape": "yolov8", "boxes": "output0"}}
    target = write_detector(folder, "d", detectors.yolov8(centres, logits), **fields)
    return DetectorSession(target, read_detector(target), 1)


def test_the_builtin_detector_passes() -> None:
    session = DetectorSession(FOLDER, read_detector(FOLDER), 1)
    seen: list[int] = []

    def shown(numbers: Sequence[int]) -> Iterator[int]:
        for number in numbers:
            seen.append(number)
            yield number

    trial = try_detector(session, shown)
    assert trial.passed
    assert [c.state for c in trial.checks] == [State.OK] * 4
    assert len(seen) == SCENES


def test_boxes_beside_the_picture_fail(tmp_path: Path) -> None:
    inside, beside = np.array([[32, 32, 20, 20]]), np.array([[320, 320, 200, 200]])
    assert states(of_boxes(tmp_path / "a", inside))["boxes"] is State.OK
    assert states(of_boxes(tmp_path / "b", beside))["boxes"] is State.FAILED


def test_a_detector_that_finds_nothing_or_far_too_much_is_a_warning(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    many = np.concatenate([rng.uniform(4, 60, (200, 2)), np.full((200, 2), 4.0)], axis=1)
    assert states(of_boxes(tmp_path / "a", many))["finds"] is State.WARNING
    none = of_boxes(tmp_path / "b", np.array([[320, 320, 2, 2]]))
    found = {c.name: c for c in try_detector(none, lambda numbers: numbers).checks}["finds"]
    assert found.state is State.WARNING
    assert found.detail.startswith("0 objects")


class _Unsteady(DetectorSession):
    """Finds something else each time."""

    def detect(self, tensor: np.ndarray) -> Candidates:
        found = super().detect(tensor)
        self.moved = getattr(self, "moved", 0.0) + 0.01
        return found._replace(boxes=found.boxes + self.moved)


class _Broken(DetectorSession):
    """Fails once it is loaded."""

    loaded = False

    def detect(self, tensor: np.ndarray) -> Candidates:
        if self.loaded:
            raise ValueError("no such operator\nand more")
        self.loaded = True
        return super().detect(tensor)


def test_a_detector_that_is_unsteady_or_fails_cannot_be_used() -> None:
    assert states(_Unsteady(FOLDER, read_detector(FOLDER), 1))["repeats"] is State.FAILED
    (only,) = try_detector(_Broken(FOLDER, read_detector(FOLDER), 1), lambda numbers: numbers).checks
    assert (only.name, only.state, only.detail) == ("runs", State.FAILED, "no such operator")
