"""Detectors side by side: figures that can be told by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.detector.adding.comparison import MarkedPicture, compare, drawn_scenes
from service.detector.builtin.build import FOLDER
from service.detector.manifest import read_detector
from service.detector.session import DetectorSession
from tests.support.data.detectors.graphs import SIDE, write_bright

LEFT = np.array([[0.125, 0.25, 0.375, 0.75]])
RIGHT_BY = np.array([[0.5, 0, 0.5, 0]])


@pytest.fixture
def bright(tmp_path: Path) -> DetectorSession:
    folder = write_bright(tmp_path)
    return DetectorSession(folder, read_detector(folder), 1)


def squares(*boxes: np.ndarray) -> np.ndarray:
    """A black picture with a white square for each box."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    for left, top, right, bottom in (np.concatenate(boxes) * SIDE).astype(int).tolist():
        picture[top:bottom, left:right] = 250
    return picture


def test_boxes_that_are_found_and_missed_are_counted(bright: DetectorSession) -> None:
    right = LEFT + RIGHT_BY
    pictures = [
        MarkedPicture(squares(LEFT), LEFT),  # found
        MarkedPicture(squares(LEFT, right), np.concatenate([LEFT, right])),  # both found
        MarkedPicture(squares(LEFT), np.concatenate([LEFT, right])),  # one missed
        MarkedPicture(squares(right)),  # nobody marked it: wrong
    ]
    found = compare([bright], pictures)
    (row,) = found.rows
    assert (found.pictures, found.boxes) == (4, 5)
    assert (row.recall, row.precision, row.objects) == (80.0, 80.0, 1.25)
    assert row.agrees is None


def test_without_marks_detectors_are_counted_and_agree_with_themselves(bright: DetectorSession) -> None:
    pictures = [MarkedPicture(squares(LEFT)), MarkedPicture(squares(LEFT + RIGHT_BY))]
    found = compare([bright, bright], pictures)
    assert found.boxes == 0
    for row in found.rows:
        assert (row.ap50, row.ap, row.recall, row.precision) == (None,) * 4
        assert (row.objects, row.agrees) == (1.0, 100.0)


def test_what_one_alone_finds_lowers_the_agreement_of_the_other(bright: DetectorSession) -> None:
    builtin = DetectorSession(FOLDER, read_detector(FOLDER), 1)
    pictures = [p for p, _ in zip(drawn_scenes(), range(6), strict=False)]
    first, second = compare([bright, builtin], pictures).rows
    assert first.detector_id == "bright"
    assert second.ap50 is not None
    assert first.ap50 is not None
    assert second.ap50 > 60 > first.ap50
    assert first.agrees is not None
    assert first.agrees < 60


def test_no_picture_is_no_measurement(bright: DetectorSession) -> None:
    with pytest.raises(ValueError, match="no picture"):
        compare([bright], [])
