import numpy as np
import onnx
import pytest

from service.encoder.builtin import build, calibration
from service.encoder.builtin.colour import lab
from service.encoder.builtin.fit import closed_form
from service.encoder.builtin.formula import INPUT, feature_model, map_model, pixel_input, prepared
from service.encoder.builtin.generator.pairs import draw_pair
from service.encoder.builtin.graph import Graph
from service.encoder.builtin.scattering import coarse_mirror, fine_mirror
from service.encoder.calibration import score_of
from service.encoder.manifest import read_manifest
from service.encoder.registry import BUILTIN_FOLDER
from service.encoder.session import load_model


def drawn(count: int = 6) -> np.ndarray:
    return np.stack([prepared(draw_pair(number, "object").first) for number in range(count)])


def run(model: onnx.ModelProto, pixels: np.ndarray) -> list[np.ndarray]:
    return load_model(model.SerializeToString(), threads=1).run(None, {INPUT.name: pixels})


def test_lab_agrees_with_opencv() -> None:
    import cv2

    graph = Graph()
    model = graph.model("lab", pixel_input(), {"lab": (lab(graph, INPUT.name), [3, 96, 96])})
    pixels = drawn(3)
    expected = np.stack([cv2.cvtColor(p.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for p in pixels])
    apart = np.abs(run(model, pixels)[0].transpose(0, 2, 3, 1) - expected)
    assert apart.max() < 0.6  # OpenCV rounds on the way: its tables are coarse where colours are dark
    assert apart.mean() < 0.05


def test_features_of_a_mirror_image_are_the_same() -> None:
    pixels = drawn()
    for straight, mirrored in zip(run(feature_model(), pixels), run(feature_model(), pixels[:, :, ::-1]), strict=True):
        assert np.abs(straight - mirrored).max() < 1e-4
        assert np.allclose(np.linalg.norm(straight, axis=1), 1, atol=1e-4)


def test_maps_of_a_mirror_image_are_the_maps_reversed_with_channels_exchanged() -> None:
    pixels = drawn()
    straight, mirrored = run(map_model(), pixels), run(map_model(), pixels[:, :, ::-1])
    for one, other, places in zip(straight, mirrored, (fine_mirror(), coarse_mirror()), strict=True):
        assert np.abs(one[:, places][..., ::-1] - other).max() < 1e-3


def test_the_committed_graph_is_what_the_code_builds_around_the_committed_weights() -> None:
    assert build.stale_files() == []


def test_a_model_with_one_other_weight_is_noticed() -> None:
    content = (BUILTIN_FOLDER / "encoder.onnx").read_bytes()
    model = onnx.load_from_string(content)
    assert build.same_graph(content, model.SerializeToString())
    weight = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    changed = bytearray(weight.raw_data)
    changed[0] ^= 0x40
    weight.raw_data = bytes(changed)
    assert not build.same_graph(content, model.SerializeToString())


def test_the_embedding_of_a_mirror_image_is_the_same_and_each_block_has_its_share() -> None:
    manifest = read_manifest(BUILTIN_FOLDER)
    session = load_model(str(BUILTIN_FOLDER / manifest.model), threads=1)
    pixels = drawn()
    vectors, mirrored = (session.run(None, {INPUT.name: p})[0] for p in (pixels, pixels[:, :, ::-1].copy()))
    assert (vectors * mirrored).sum(1).min() > 0.9999
    start = 0
    for block in manifest.output.blocks:
        lengths = (vectors[:, start : start + block.size] ** 2).sum(1)
        assert np.allclose(lengths, block.share, atol=1e-3)
        start += block.size


@pytest.mark.long  # 46 s alone on two cores, more beside others
def test_fitting_twice_gives_the_same_projections() -> None:
    once, again = (closed_form(objects=300, scenes=0, dimensions=(16, 32)) for _ in range(2))
    for one, other in zip(once, again, strict=True):
        assert np.array_equal(one.matrix, other.matrix)
        assert np.array_equal(one.mean, other.mean)


@pytest.mark.long
def test_building_the_encoder_again_gives_the_same_vectors_within_the_stated_tolerance() -> None:
    assert build.main(["--verify"]) == 0


@pytest.mark.long
def test_the_score_is_what_the_calibration_measures() -> None:
    copies, strangers = calibration.measured(5)
    found = score_of(strangers)
    assert found.midpoint == pytest.approx(build.SCORE.midpoint, abs=0.06)
    assert found.width == pytest.approx(build.SCORE.width, abs=0.03)
    assert np.median(copies) < build.SCORE.midpoint / 2 < np.median(strangers)
