"""`afterimage detectors add` with the built-in detector as other families export it, and a server that uses it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from PIL import Image

from service.detector.builtin.build import FOLDER
from service.detector.manifest import read_detector
from service.detector.registry import DetectorRegistry
from service.encoder.builtin.generator.scenes import draw_scene
from tests.support.data.detectors import exports
from tests.support.data.encoders import ONE_CORE
from tests.support.servers.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell without a server."""
    return Shell(None, "", tmp_path / "state", data_dir=tmp_path / "data")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "downloads" / "yolo11n.onnx"
    path.parent.mkdir()
    onnx.save(exports.yolov8(), path)
    return path


@pytest.fixture
def shelves(tmp_path: Path) -> Path:
    """Drawn scenes in a folder `images`, with the boxes of each in `labels`, as YOLO has them."""
    folder = tmp_path / "shelves"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in range(4):
        scene = draw_scene(90_000 + number)
        Image.fromarray(scene.pixels).save(folder / "images" / f"{number}.png")
        lines = [f"0 {(left + right) / 2} {(top + bottom) / 2} {right - left} {bottom - top}\n"
                 for left, top, right, bottom in scene.boxes.tolist()]  # fmt: skip
        (folder / "labels" / f"{number}.txt").write_text("".join(lines))
    return folder


def test_a_detector_is_added_measured_and_ready_to_be_served(
    shell: Shell, model: Path, shelves: Path, tmp_path: Path
) -> None:
    detectors = tmp_path / "detectors"
    arguments = ["detectors", "add", str(model), "--detectors-dir", str(detectors),
                 "--pictures", str(shelves / "images"),
                 "--license", "Apache-2.0", "--min-score", "0.45"]  # fmt: skip
    detectors.mkdir()
    tried = shell.json(*arguments, "--dry-run")
    assert list(detectors.iterdir()) == []
    done = shell.json(*arguments)
    assert (tried["written"], done["written"]) == (False, True)
    assert (done["detector_id"], done["folder"]) == ("yolo11n", str(detectors / "yolo11n"))
    assert {c["state"] for c in done["checks"]} == {"ok"}
    assert (done["source"], done["pictures"]) == ("pictures", 4)
    ours, builtin = done["comparison"]
    assert (ours["detector_id"], builtin["detector_id"]) == ("yolo11n", "builtin")
    assert ours["ap50"] == pytest.approx(builtin["ap50"], abs=1)
    assert builtin["ap50"] > 50
    assert (ours["agrees"], builtin["agrees"]) == (100, 100)
    assert done["boxes"] == sum(len(f.read_text().splitlines()) for f in (shelves / "labels").iterdir())
    manifest = read_detector(detectors / "yolo11n")
    assert manifest.model_dump(mode="json", exclude_unset=True) == tried["manifest"] == done["manifest"]
    assert (manifest.labels, manifest.license) == (("good", "nothing"), "Apache-2.0")
    assert DetectorRegistry(detectors, "yolo11n", ONE_CORE).load().manifest == manifest
    (row, own) = shell.json("detectors", "list", "--detectors-dir", str(detectors))["detectors"]
    assert (row["id"], row["used"], own["id"], own["labels"]) == ("builtin", True, "yolo11n", 2)
    refused = shell.json(*arguments, code=1)["error"]
    assert refused["reason"] == "DETECTOR_EXISTS"


def test_people_see_the_guesses_the_checks_and_the_table(shell: Shell, model: Path, shelves: Path) -> None:
    for path in (shelves / "labels").iterdir():
        path.unlink()
    (shelves / "images" / "broken.png").write_bytes(b"no picture")
    said = shell.run("detectors", "add", str(model), "--pictures", str(shelves / "images"), code=3)
    for text in (
        "the file names them", "yolov8: output0", "of the other's %", "4 pictures, without known boxes", "broken.png",
    ):  # fmt: skip
        assert text in said
    assert "AP50" not in said
    assert read_detector(model.parent).model == "yolo11n.onnx"


def test_a_detector_whose_boxes_lie_beside_the_picture_is_not_written(shell: Shell, model: Path, shelves: Path) -> None:
    arguments = ["--box-format", "xyxy", "--pictures", str(shelves)]
    failed = shell.json("detectors", "add", str(model), *arguments, code=1)
    assert [c["name"] for c in failed["checks"] if c["state"] == "failed"] == ["boxes"]
    assert not (model.parent / "detector.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--family", "shelf"], 2, "--family must be one of deformable-detr, detr"),
        (["--size", "big"], 2, "--size must be a number"),
        (["--labels", "/nowhere"], 2, "--labels: /nowhere cannot be read"),
        (["--id", "builtin"], 1, "has a detector 'builtin'; pass --id"),
        (["--id", "Shelf"], 1, "id must match"),
        (["--family", "detr"], 1, "not those of detr"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(
    shell: Shell, model: Path, arguments: list[str], code: int, said: str
) -> None:
    failed = shell.json("detectors", "add", str(model), *arguments, code=code)
    assert said in failed["error"]["message"]
    assert not (model.parent / "detector.json").exists()


def test_marks_that_are_none_and_folders_without_pictures_are_refused(
    shell: Shell, model: Path, shelves: Path, tmp_path: Path
) -> None:
    (shelves / "labels" / "2.txt").write_text("0 0.5 0.5 20 30\n")
    failed = shell.json("detectors", "add", str(model), "--pictures", str(shelves / "images"), code=1)
    assert "four shares of the picture" in failed["error"]["message"]
    (tmp_path / "empty").mkdir()
    failed = shell.json("detectors", "add", str(model), "--pictures", str(tmp_path / "empty"), code=2)
    assert "no picture to measure on" in failed["error"]["message"]


def test_a_manifest_is_shown(shell: Shell) -> None:
    shown = shell.json("detectors", "show", "builtin")
    assert shown["manifest"] == json.loads(read_detector(FOLDER).model_dump_json())
    assert "'shelf'; there are builtin" in shell.json("detectors", "show", "shelf", code=2)["error"]["message"]
