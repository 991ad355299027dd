"""Detectors in memory: graphs with the operators and shapes of families of models, and manifests that do not fit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.detector.manifest import read_detector
from service.detector.outputs import Candidates
from service.detector.registry import DetectorRegistry
from service.detector.session import DetectorSession
from service.detector.suppression import DetectedObject, ObjectLimits, objects_of
from service.encoder.execution import Hardware
from service.errors import Reason, ServiceError, SettingError
from tests.support.data.detectors import graphs as detectors
from tests.support.data.detectors.graphs import SIDE, write_bright, write_detector

# Three things, the last of which nearly covers the second; corners in pixels.
CORNERS = np.array([[4, 8, 20, 40], [30, 10, 60, 50], [31, 10, 60, 51]], np.float32)
CENTRES = np.concatenate([(CORNERS[:, :2] + CORNERS[:, 2:]) / 2, CORNERS[:, 2:] - CORNERS[:, :2]], axis=1)
PLANAR = {"name": "pictures", "size": [SIDE, SIDE]}
LABELS = ["cup", "shoe"]
EXPECTED = [("shoe", CORNERS[1]), ("cup", CORNERS[0])]  # what is left of them, the best first
HARDWARE = Hardware(1, threads=1)


def logit(score: np.ndarray) -> np.ndarray:
    return np.log(score / (1 - score))


CLASSES = np.array([[0.7, 0.1], [0.1, 0.9], [0.2, 0.8]])
FAMILIES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "yolov8": (detectors.yolov8(CENTRES, logit(CLASSES)), {"output": {"shape": "yolov8", "boxes": "output0"}}),
    "yolov5": (
        detectors.yolov5(CENTRES, logit(np.full(3, 0.99)), logit(CLASSES)),
        {"output": {"shape": "yolov5", "boxes": "output"}},
    ),
    "detr": (
        detectors.detr(CENTRES / SIDE, np.concatenate([8 * CLASSES, np.zeros((3, 1))], axis=1)),
        {"output": {"shape": "detr", "boxes": "pred_boxes", "scores": "logits"}},
    ),
    "torchvision": (
        detectors.torchvision_ssd(CORNERS, np.array([0.7, 0.9, 0.8]), np.array([1, 2, 2])),
        {"output": {"shape": "ssd", "boxes": "boxes", "scores": "scores", "classes": "labels", "first_class": 1}},
    ),
    "tensorflow": (
        detectors.tensorflow_ssd(CORNERS[:, [1, 0, 3, 2]] / SIDE, np.array([0.7, 0.9, 0.8]), np.array([1, 2, 2])),
        {
            "input": {**PLANAR, "layout": "NHWC", "dtype": "uint8"},
            "output": {
                "shape": "ssd", "boxes": "detection_boxes", "scores": "detection_scores",
                "classes": "detection_classes", "box_format": "yxyx", "box_unit": "fraction", "first_class": 1,
            },
        },
    ),
}  # fmt: skip


def loaded(folder: Path, model: bytes, **fields: Any) -> DetectorSession:
    target = write_detector(folder, "d", model, **({"input": PLANAR, "labels": LABELS} | fields))
    return DetectorSession(target, read_detector(target), 1)


def tensor(session: DetectorSession) -> np.ndarray:
    spec = session.manifest.input
    shape = (SIDE, SIDE, 3) if spec.layout == "NHWC" else (3, SIDE, SIDE)
    return np.full(shape, 7).astype(spec.dtype)


def objects(session: DetectorSession, found: Candidates) -> tuple[DetectedObject, ...]:
    return objects_of(found, (SIDE, SIDE), session.manifest, ObjectLimits(10))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_each_family_finds_what_its_graph_gives(tmp_path: Path, family: str) -> None:
    model, fields = FAMILIES[family]
    session = loaded(tmp_path, model, **fields)
    found = objects(session, session.detect(tensor(session)))
    assert [o.label for o in found] == [label for label, _ in EXPECTED]
    for one, (_, corners) in zip(found, EXPECTED, strict=True):
        region = one.region
        assert [region.left, region.top, region.right, region.bottom] == pytest.approx(corners / SIDE, abs=1e-5)
    assert [o.score for o in found] == sorted((o.score for o in found), reverse=True)


def test_a_model_that_finds_nothing_gives_no_objects(tmp_path: Path) -> None:
    model = detectors.torchvision_ssd(CORNERS, np.full(3, 0.01), np.array([1, 2, 2]))
    session = loaded(tmp_path, model, **FAMILIES["torchvision"][1])
    assert objects(session, session.detect(tensor(session))) == ()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"input": {**PLANAR, "name": "other"}}, "no input 'other'; the model has .*pictures"),
    ({"output": {"shape": "yolov8", "boxes": "other"}}, "no output 'other'"),
    ({"labels": ["cup"]}, r"cannot detect anything: output 'output0' has the shape \(1, 6, 3\), not"),
    ({"input": {**PLANAR, "size": [32, 32]}}, "cannot detect anything"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=str)
def test_a_model_that_does_not_fit_its_manifest_is_refused(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    model, good = FAMILIES["yolov8"]
    with pytest.raises(SettingError, match=f"detector d: {message}"):
        loaded(tmp_path, model, **(good | fields))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="ONNX Runtime cannot load"):
        loaded(tmp_path, b"no model", **FAMILIES["yolov8"][1])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"id": "Big"}, "id must match"),
    ({"labels": []}, "labels"),
    ({"surprise": 1}, "surprise"),
    ({"min_score": 2}, "min_score"),
    ({"input": {**PLANAR, "trim": "frame"}}, "trim must be none"),
    ({"output": {"shape": "yolov8", "boxes": "o", "scores": "s"}}, "has one output"),
    ({"output": {"shape": "detr", "boxes": "o"}}, "needs output.scores"),
    ({"output": {"shape": "detr", "boxes": "o", "scores": "s", "classes": "c"}}, "has output.classes"),
    ({"output": {"shape": "detr", "boxes": "o", "scores": "s", "first_class": 1}}, "has output.first_class"),
    ({"output": {"shape": "ssd", "boxes": "o", "scores": "s"}, "labels": LABELS}, "several labels"),
    ({"model": "../model.onnx"}, "file name without a path"),
    ({"sha256": ""}, "must not be empty"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG, ids=str)
def test_a_wrong_manifest_is_refused_by_its_field(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    target = write_bright(tmp_path, "bright")
    stated = json.loads((target / "detector.json").read_text()) | fields
    (target / "detector.json").write_text(json.dumps(stated))
    with pytest.raises(SettingError, match=message):
        read_detector(target)


def test_a_damaged_model_is_refused_at_the_start(tmp_path: Path) -> None:
    target = write_bright(tmp_path)
    content = (target / "model.onnx").read_bytes()
    (target / "model.onnx").write_bytes(content[:-1] + b"\0")
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(SettingError, match=f"the manifest has {digest}; the file is damaged"):
        DetectorRegistry(tmp_path, "bright", HARDWARE)


def test_the_detector_of_the_setting_is_used(tmp_path: Path) -> None:
    write_bright(tmp_path, "one")
    write_bright(tmp_path, "two")
    (tmp_path / "three").mkdir()
    registry = DetectorRegistry(tmp_path, "two", HARDWARE)
    assert registry.used is not None
    assert registry.used.id == "two"
    assert {"one", "two"} <= {m.id for m in registry.manifests()}
    assert registry.load() is registry.load()
    with pytest.raises(SettingError, match=r"detector: no detector 'three'; available: .*one, two"):
        DetectorRegistry(tmp_path, "three", HARDWARE)
    with pytest.raises(SettingError, match=r"detectors_dir: .*none is not a directory"):
        DetectorRegistry(tmp_path / "none", "two", HARDWARE)


def test_two_detectors_of_one_id_are_refused(tmp_path: Path) -> None:
    write_bright(tmp_path, "one")
    (tmp_path / "one").rename(tmp_path / "other")
    write_bright(tmp_path, "one")
    with pytest.raises(SettingError, match="another detector has the id 'one'"):
        DetectorRegistry(tmp_path, "one", HARDWARE)


def test_a_server_without_a_detector_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.detector.registry.BUILTIN_FOLDER", tmp_path / "none")
    registry = DetectorRegistry(None, "builtin", HARDWARE)
    assert registry.used is None
    for use in (registry.check, registry.load):
        with pytest.raises(ServiceError, match="put one into detectors_dir") as caught:
            use()
        assert caught.value.reason is Reason.DETECTOR_MISSING
