"""What is found out about detectors: the built-in one, exported as each family is, must find the same boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from service.detector.adding.comparison import looked
from service.detector.adding.families import recognise
from service.detector.adding.outputs_read import read_outputs
from service.detector.adding.proposal import Wishes, detector_id_of, propose
from service.detector.builtin.build import FOLDER
from service.detector.manifest import DetectorManifest, read_detector
from service.detector.scoring import overlaps
from service.detector.session import DetectorSession
from service.detector.suppression import ObjectLimits
from service.encoder.adding.model_file import Proposal
from service.encoder.adding.picture_input import UnusableGraph
from service.encoder.builtin.generator.scenes import draw_scene
from service.errors import SettingError
from tests.support.data.detectors import exports

Model = onnx.ModelProto
EXPORTS: list[tuple[Callable[[], Model], str, str, dict[str, Any], tuple[str, ...]]] = [
    (exports.yolov8, "yolo", "yolov8", {"format": "cxcywh", "unit": "pixel"}, ("good", "nothing")),
    (exports.yolov5, "yolo", "yolov5", {"format": "cxcywh", "unit": "pixel"}, ("class 0", "class 1")),
    (exports.end_to_end, "yolo", "ssd", {"format": "xyxy", "unit": "pixel", "classes": "classes"}, ("good", "nothing")),
    (exports.detr, "detr", "detr", {"unit": "fraction", "score_function": "softmax"}, ("object",)),
    (exports.deformable_detr, "detr", "detr", {"score_function": "sigmoid"}, ("class 0", "class 1")),
    (exports.torchvision, "torchvision", "ssd", {"format": "xyxy", "unit": "pixel", "first_class": 1}, ()),
    (exports.tensorflow, "tensorflow", "ssd", {"format": "yxyx", "unit": "fraction", "first_class": 1}, ()),
]  # fmt: skip


def saved(folder: Path, model: Model, name: str = "found.onnx") -> Path:
    onnx.save(model, folder / name)
    return folder / name


def session_of(path: Path, found: Proposal[DetectorManifest]) -> DetectorSession:
    return DetectorSession(path.parent if found.content is None else found.content, found.manifest, 1)


@pytest.fixture(scope="module")
def builtin() -> DetectorSession:
    return DetectorSession(FOLDER, read_detector(FOLDER), 1)


@pytest.mark.parametrize(
    ("make", "family", "shape", "outputs", "labels"), EXPORTS, ids=[make.__name__ for make, *_ in EXPORTS]
)
def test_an_export_of_each_family_finds_the_boxes_of_the_model_within(
    tmp_path: Path, builtin: DetectorSession, make: Callable[[], Model], family: str, shape: str,
    outputs: dict[str, Any], labels: tuple[str, ...],
) -> None:  # fmt: skip
    path = saved(tmp_path, make(), f"{'ssdlite' if family == 'torchvision' else 'found'}.onnx")
    found = propose(path, Wishes())
    manifest = found.manifest
    assert {g.what: g.value for g in found.guesses}["family"] == family
    assert manifest.output.shape == shape
    assert {name: getattr(manifest.output, name) for name in outputs} == outputs
    assert manifest.labels == (labels or tuple(f"class {n}" for n in range(1, 91)))
    scene = draw_scene(3)
    expected = looked(builtin, scene.pixels, ObjectLimits(20, 0.45))
    seen = looked(session_of(path, found), scene.pixels, ObjectLimits(20, 0.45))
    assert len(expected.boxes) >= 2
    assert seen.scores == pytest.approx(expected.scores, abs=1e-4)
    assert np.diag(overlaps(seen.boxes, expected.boxes)).min() > 0.99


def test_what_the_operator_states_goes_before_any_guess(tmp_path: Path) -> None:
    path = saved(tmp_path, exports.deformable_detr())
    found = propose(path, Wishes("shelf", "rt-detr", ("a", "b"), None, "pad", "sigmoid", "xyxy", 0.1, "7", "MIT"))
    made = found.manifest
    assert (made.id, made.version, made.license, made.labels, made.min_score) == ("shelf", "7", "MIT", ("a", "b"), 0.1)
    assert (made.input.resize, made.input.mean, made.output.format) == ("pad", (0.0, 0.0, 0.0), "xyxy")
    assert {g.why for g in found.guesses if g.what in ("family", "resize", "labels", "scores")} == {"as stated"}
    softmax = propose(path, Wishes(score_function="softmax", labels=("a", "b")))
    with pytest.raises(SettingError, match=r"output 'logits' has the shape"):  # two columns: a class and no object
        session_of(path, softmax)


def test_weights_in_files_of_their_own_become_part_of_the_model(tmp_path: Path, builtin: DetectorSession) -> None:
    path = tmp_path / "apart.onnx"
    onnx.save(exports.yolov8(), path, save_as_external_data=True, location="weights.bin", size_threshold=1024)
    found = propose(path, Wishes())
    assert found.content is not None
    assert found.manifest.model == "detector.onnx"  # the file itself stays as it is
    (tmp_path / "weights.bin").unlink()
    pixels, limits = draw_scene(3).pixels, ObjectLimits(20, 0.45)
    expected = looked(builtin, pixels, limits).scores
    assert looked(session_of(path, found), pixels, limits).scores == pytest.approx(expected, abs=1e-4)


def test_an_id_follows_from_the_name_of_the_file_or_of_its_folder() -> None:
    assert detector_id_of(Path("YOLO 11n.onnx")) == "yolo-11n"
    assert detector_id_of(Path("/models/shelf/best.onnx")) == "shelf"
    with pytest.raises(UnusableGraph, match="pass --id"):
        detector_id_of(Path("/models/builtin/model.onnx"))


def test_families_are_known_by_files_then_by_names_in_the_graph() -> None:
    assert recognise("detr", "model.decoder.layers.0.sampling_offsets", "a.onnx").name == "deformable-detr"
    assert recognise("detr", "model.decoder.layers.0.sampling_offsets", "rtdetr.onnx").name == "rt-detr"
    assert recognise("ssd", "/roi_heads/box_predictor", "a.onnx").name == "torchvision"
    assert recognise("ssd", "", "a.onnx").by == ""


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape).astype(np.float32) * 100


REFUSED: list[tuple[dict[str, np.ndarray], int, str]] = [
    ({"output0": noise(1, 4 + 80 + 32, 900), "output1": noise(1, 32, 20, 20)}, 80, "of masks"),
    ({"output0": noise(1, 4 + 7, 900)}, 8, "7 numbers beside the box of a candidate, and there are 8 labels"),
    ({"boxes": noise(1, 90, 4), "scores": np.full((1, 90, 4), 0.25, np.float32)}, 0, "probabilities of each class"),
    ({"output": noise(1, 1000)}, 0, r"of no shape that is known here .*output: \[1, 1000\] float32"),
    ({"boxes": noise(1, 90, 4)}, 0, "of no shape that is known here"),
]


@pytest.mark.parametrize(("results", "labels", "said"), REFUSED, ids=[said for *_, said in REFUSED])
def test_outputs_of_other_shapes_are_refused_with_what_they_are(
    results: dict[str, np.ndarray], labels: int, said: str
) -> None:
    with pytest.raises(UnusableGraph, match=said):
        read_outputs(results, labels)


def test_of_several_boxes_those_with_the_usual_name_are_taken() -> None:
    of_api = {"detection_boxes": noise(1, 50, 4) / 100, "detection_scores": noise(1, 50),
              "detection_classes": noise(1, 50).round()}  # fmt: skip
    raw = {"raw_detection_boxes": noise(1, 900, 4), "raw_detection_scores": noise(1, 900, 91)}
    found = read_outputs({**raw, "num_detections": noise(1), **of_api}, 0)
    assert (found.boxes, found.scores, found.classes) == ("detection_boxes", "detection_scores", "detection_classes")
    assert found.unit == "fraction"


def tiny(inputs: dict[str, tuple[int, list[Any]]]) -> Model:
    """A model whose inputs are added up to nothing."""
    values = [helper.make_tensor_value_info(name, dtype, shape) for name, (dtype, shape) in inputs.items()]
    nodes = [helper.make_node("ReduceMax", [name], [f"{name} most"], keepdims=0) for name in inputs]
    nodes.append(helper.make_node("Sum", [f"{name} most" for name in inputs], ["sum"]))
    nodes.append(helper.make_node("Mul", ["table", "sum"], ["output0"]))
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, None)
    table = numpy_helper.from_array(np.ones((1, 6, 90), np.float32), "table")
    graph = helper.make_graph(nodes, "tiny", values, [output], [table])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


FLOAT = TensorProto.FLOAT
UNUSABLE: list[tuple[dict[str, tuple[int, list[Any]]], Wishes, str]] = [
    ({"images": (FLOAT, ["n", 3, 64, 64]), "sizes": (FLOAT, ["n", 2])}, Wishes(), "the model also needs sizes"),
    ({"images": (FLOAT, [8, 3, 64, 64])}, Wishes(), "takes 8 pictures at a time"),
    ({"images": (TensorProto.INT8, [1, 3, 64, 64])}, Wishes(), "takes INT8"),
    ({"words": (FLOAT, [1, 64])}, Wishes(), "no input takes pictures"),
    ({"images": (FLOAT, [1, 3, 64, 64])}, Wishes(size=(32, 32)), "64 x 64 only"),
    ({"images": (FLOAT, [1, 3, 64, 64])}, Wishes(family="detr"), "not those of detr"),
    ({"images": (FLOAT, [1, 3, 64, 64])}, Wishes(labels=("cup",)), "there are 1 labels"),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "wishes", "said"), UNUSABLE, ids=[said for *_, said in UNUSABLE])
def test_a_graph_that_cannot_be_a_detector_says_what_to_do(
    tmp_path: Path, inputs: dict[str, tuple[int, list[Any]]], wishes: Wishes, said: str
) -> None:
    with pytest.raises(UnusableGraph, match=said):
        propose(saved(tmp_path, tiny(inputs)), wishes)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "found.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(UnusableGraph, match="is not an ONNX model"):
        propose(path, Wishes())
