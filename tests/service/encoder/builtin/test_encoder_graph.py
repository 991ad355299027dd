import cv2
import numpy as np
import onnx
import pytest

from service.encoder.builtin import build, calibration
from service.encoder.builtin.colour import CODES, SIDE, lab, regions
from service.encoder.builtin.features import INPUT, feature_model, pixel_input, prepared, unit_planes
from service.encoder.builtin.fit import Amounts, fit_codebook, fit_projections
from service.encoder.builtin.generator.pairs import draw_pair
from service.encoder.builtin.graph import Graph
from service.encoder.builtin.instance import standard_of
from service.encoder.builtin.network import NetworkWeights
from service.encoder.builtin.weights import read_weights
from service.encoder.calibration import score_of
from service.encoder.manifest import read_manifest
from service.encoder.registry import BUILTIN_FOLDER
from service.encoder.session import load_model
from tests.service.encoder.builtin import network_by_hand


def drawn(count: int = 6) -> np.ndarray:
    return np.stack([prepared(draw_pair(number, "object").first) for number in range(count)])


def run(model: onnx.ModelProto, pixels: np.ndarray) -> list[np.ndarray]:
    return load_model(model.SerializeToString(), threads=1).run(None, {INPUT.name: pixels})


def committed_features() -> onnx.ModelProto:
    weights = read_weights()
    return feature_model(weights.network, weights.projections.codebook)


def test_lab_is_that_of_opencv_curved() -> None:
    graph = Graph()
    curved = lab(graph, unit_planes(graph, INPUT.name), side=96)
    model = graph.model("lab", pixel_input(), {"lab": (curved, [96 * 96, 3])})
    pixels = drawn(3)
    expected = np.stack([cv2.cvtColor(p.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for p in pixels])
    found = run(model, pixels)[0].reshape(3, 96, 96, 3)
    uncurved = np.concatenate([found[..., :1] * 16, np.sign(found[..., 1:]) * found[..., 1:] ** 2], -1)
    apart = np.abs(uncurved - expected)
    assert apart.max() < 0.6  # OpenCV rounds on the way: its tables are coarse where colours are dark
    assert apart.mean() < 0.05


def test_regions_are_means_and_equal_for_the_mirror_image() -> None:
    weights = regions().reshape(11, SIDE, SIDE)
    assert np.allclose(weights.sum((1, 2)), 1, atol=1e-5)
    assert np.allclose(weights, weights[:, :, ::-1], atol=1e-8)


def test_features_of_a_mirror_image_are_the_same() -> None:
    pixels = drawn()
    model = committed_features()
    for straight, mirrored in zip(run(model, pixels), run(model, pixels[:, :, ::-1].copy()), strict=True):
        assert np.abs(straight - mirrored).max() < 2e-3 * max(1.0, float(np.abs(straight).max()))


def test_features_are_those_of_the_network_computed_by_hand() -> None:
    weights = read_weights()
    pixels = drawn(2)
    _, instance, family = run(feature_model(weights.network, weights.projections.codebook), pixels)
    expected_instance, expected_family = network_by_hand.features(pixels, weights.network)
    assert np.abs(instance - expected_instance).max() < 1e-3 * float(np.abs(expected_instance).max())
    assert np.abs(family - expected_family).max() < 1e-4


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


def test_weights_in_eight_bits_give_nearly_the_vectors_of_the_unrounded_ones() -> None:
    pixels = drawn(12)
    whole, rounded = (
        load_model(build.build_files(read_weights(), precision)[build.MODEL_NAME], threads=1).run(
            None, {INPUT.name: pixels}
        )[0]
        for precision in ("float32", "int8")
    )
    assert (whole * rounded).sum(1).min() > 0.98
    assert not np.array_equal(whole, rounded)


def test_saved_network_weights_are_read_again(tmp_path) -> None:  # type: ignore[no-untyped-def]
    weights = read_weights().network
    weights.save(tmp_path / "network.npz")
    again = NetworkWeights.load(tmp_path / "network.npz")
    assert np.array_equal(again.family, weights.family)
    assert np.array_equal(again.convolutions["neck"].kernel, weights.convolutions["neck"].kernel)


def test_features_on_one_scale_have_length_one_and_none_is_louder() -> None:
    rng = np.random.default_rng(1)
    features = (rng.normal(size=(400, 30)) * np.logspace(-1, 1, 30) + 5).astype(np.float32)
    scaled = standard_of(features).apply(features)
    assert np.allclose(np.linalg.norm(scaled, axis=1), 1, atol=1e-5)
    spread = scaled.std(0)
    assert spread.max() < 1.3 * spread.min()


@pytest.mark.long  # a minute alone on two cores, more beside others
def test_fitting_twice_gives_the_same_projections() -> None:
    amounts = Amounts(objects=300, scenes=0, copies=20, shop=20, colour=16, instance=32)
    codebook = fit_codebook(pictures=30)
    once, again = (fit_projections(amounts, codebook) for _ in range(2))
    for one, other in ((once.colour, again.colour), (once.instance, again.instance)):
        assert np.array_equal(one.matrix, other.matrix)
        assert np.array_equal(one.mean, other.mean)


def test_the_codebook_has_its_size_and_its_colours_are_apart() -> None:
    codebook = read_weights().projections.codebook
    assert codebook.shape == (CODES, 3)
    apart = np.linalg.norm(codebook[:, None] - codebook[None], axis=-1) + 9 * np.eye(CODES)
    assert apart.min() > 1e-3


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_building_the_encoder_again_gives_the_same_vectors_within_the_stated_tolerance() -> None:
    assert build.main(["--verify"]) == 0


@pytest.mark.long
def test_the_score_is_what_the_calibration_measures() -> None:
    copies, strangers = calibration.measured(5)
    found = score_of(strangers)
    assert found.midpoint == pytest.approx(build.SCORE.midpoint, abs=0.06)
    assert found.width == pytest.approx(build.SCORE.width, abs=0.03)
    assert np.median(copies) < build.SCORE.midpoint / 2 < np.median(strangers)
