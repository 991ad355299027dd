import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.encoder.contract import picture_vectors
from service.encoder.manifest import InputSpec, ScoreSpec, read_manifest
from service.encoder.preprocess import to_tensor, trimmed
from service.encoder.registry import BUILTIN_FOLDER, EncoderRegistry
from service.errors import ServiceError, SettingError
from service.intake.decode import decode
from service.intake.limits import PictureLimits
from tests.support.data.encoders import ONE_CORE
from tests.support.data.pictures import encode, noise
from tests.support.shared import clothing, own_encoder


def embed(registry: EncoderRegistry, encoder_id: str, pictures: list[bytes]) -> np.ndarray:
    manifest = registry.manifest(encoder_id)
    session, spec = registry.session(manifest), manifest.input
    return picture_vectors(session, [to_tensor(decode(p, PictureLimits()), spec) for p in pictures])


def builtin() -> EncoderRegistry:
    return EncoderRegistry(None, "builtin", ONE_CORE)


def test_vectors_are_normalised_and_do_not_depend_on_the_batch() -> None:
    pictures = [encode(noise(n)) for n in range(9)]
    together = embed(builtin(), "builtin", pictures)
    alone = np.concatenate([embed(builtin(), "builtin", [p]) for p in pictures[:3]])
    assert together.shape == (9, 384)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together[:3], alone, atol=1e-5)


def test_altered_copies_lie_nearer_than_other_pictures() -> None:
    originals = [noise(n) for n in range(20)]
    base = embed(builtin(), "builtin", [encode(p) for p in originals])
    alterations: tuple[Callable[[Image.Image], bytes], ...] = (
        lambda p: encode(p, "JPEG", quality=40),
        lambda p: encode(p.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        lambda p: encode(p.resize((60, 45))),
        lambda p: encode(p.crop((6, 4, 114, 86))),
    )
    for alter in alterations:
        copies = embed(builtin(), "builtin", [alter(p) for p in originals])
        assert ((copies @ base.T).argmax(1) == np.arange(20)).mean() >= 0.95


def test_a_plain_picture_of_one_colour_still_gives_a_finite_vector() -> None:
    for colour in ("white", "black", "red"):
        vector = embed(builtin(), "builtin", [encode(Image.new("RGB", (50, 50), colour))])[0]
        assert np.isfinite(vector).all()
        assert abs(np.linalg.norm(vector) - 1) < 1e-5


def test_an_encoder_of_ones_own_is_found_loaded_and_agrees_with_onnxruntime_alone(tmp_path: Path) -> None:
    import cv2
    import onnxruntime

    registry = EncoderRegistry(own_encoder(tmp_path), "mobilenet-v2", ONE_CORE)
    paths = [p for p, _ in clothing()[:6]]
    found = embed(registry, "mobilenet-v2", [p.read_bytes() for p in paths])
    session = onnxruntime.InferenceSession(str(tmp_path / "mobilenet" / "model.onnx"))
    for path, vector in zip(paths, found, strict=True):
        picture = cv2.imread(str(path))
        assert picture is not None
        small = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA)[:, :, ::-1]
        tensor = (small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        expected = session.run(None, {"image": tensor})[0].reshape(-1)
        assert float(vector @ expected) / np.linalg.norm(expected) > 0.99999


def load(encoders: Path, encoder_id: str) -> None:
    registry = EncoderRegistry(encoders, encoder_id, ONE_CORE)
    registry.session(registry.manifest(encoder_id))


def block(name: str, size: int, share: float) -> dict[str, object]:
    return {"name": name, "size": size, "share": share}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"sha256": "short"}, "64 hexadecimal digits"),
        ({"model": "../encoder.onnx"}, "without a path"),
        ({"model": "gone.onnx"}, "must be in the folder of its manifest"),
        ({"id": "Bad Id"}, "encoder id"),
        ({"extra": 1}, "extra"),
        ({"input": {"name": "pixels", "size": [1, 1]}}, "input.size.0"),
        ({"output": {"name": "embedding", "dimension": 7}}, "not 7"),
        ({"output": {"name": "embedding", "dimension": 9, "blocks": [block("a", 5, 1.0)]}}, "sizes of the blocks"),
        ({"output": {"name": "embedding", "dimension": 5, "blocks": [block("a", 5, 0.5)]}}, "shares of the blocks"),
        (
            {"output": {"name": "embedding", "dimension": 6, "blocks": [block("a", 3, 0.5), block("a", 3, 0.5)]}},
            "must be unique",
        ),
        ({"output": {"name": "embedding", "dimension": 5, "blocks": [block("A b", 5, 1.0)]}}, "output.blocks.0.name"),
        ({"output": {"name": "nothing", "dimension": 384}}, "no output 'nothing'"),
        ({"input": {"name": "wrong", "size": [96, 96]}}, "no input 'wrong'"),
    ],
)
def test_a_manifest_that_does_not_fit_stops_with_its_remedy(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "encoder.onnx").write_bytes((BUILTIN_FOLDER / "encoder.onnx").read_bytes())
    manifest = {**json.loads((BUILTIN_FOLDER / "encoder.json").read_text()), "id": "mine", **change}
    (folder / "encoder.json").write_text(json.dumps(manifest))
    with pytest.raises(SettingError, match=said):
        load(tmp_path, "mine")


def test_two_encoders_of_one_id_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("encoder.onnx", "encoder.json"):
        (folder / name).write_bytes((BUILTIN_FOLDER / name).read_bytes())
    with pytest.raises(SettingError, match="another encoder has the id"):
        EncoderRegistry(tmp_path, "builtin", ONE_CORE)


def test_a_model_that_is_no_model_stops_with_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "encoder.onnx").write_bytes(b"not a model")
    import hashlib

    manifest = json.loads((BUILTIN_FOLDER / "encoder.json").read_text())
    manifest.update(id="broken", sha256=hashlib.sha256(b"not a model").hexdigest())
    (folder / "encoder.json").write_text(json.dumps(manifest))
    with pytest.raises(SettingError, match="encoder broken"):
        load(tmp_path, "broken")


def test_an_unknown_encoder_is_named_with_those_that_exist() -> None:
    with pytest.raises(ServiceError, match="available: builtin"):
        builtin().manifest("clip")
    with pytest.raises(SettingError, match="default_encoder"):
        EncoderRegistry(None, "clip", ONE_CORE)


def test_the_fingerprint_changes_with_whatever_changes_a_vector() -> None:
    manifest = read_manifest(BUILTIN_FOLDER)
    resized = manifest.model_copy(update={"input": manifest.input.model_copy(update={"resize": "crop"})})
    described = manifest.model_copy(update={"description": "other words"})
    assert resized.fingerprint != manifest.fingerprint
    assert described.fingerprint == manifest.fingerprint


def test_naming_blocks_of_the_same_numbers_keeps_the_fingerprint() -> None:
    manifest = read_manifest(BUILTIN_FOLDER)
    unnamed = manifest.model_copy(update={"output": manifest.output.model_copy(update={"blocks": ()})})
    assert unnamed.fingerprint == manifest.fingerprint


def framed(inner: np.ndarray, edge: int, colour: int) -> np.ndarray:
    return np.pad(inner, ((edge, edge), (edge, edge), (0, 0)), constant_values=colour)


def test_a_plain_frame_is_cut_off_and_the_ground_of_a_product_is_not() -> None:
    busy = np.asarray(noise(3, 200, 120))
    assert trimmed(framed(busy, 30, 250)).shape == busy.shape
    ellipse = np.full((200, 200, 3), 250, np.uint8)
    y, x = np.mgrid[:200, :200]
    inside = ((x - 100) / 70) ** 2 + ((y - 100) / 60) ** 2 < 1
    ellipse[inside] = np.asarray(noise(5, 200, 200))[inside]
    assert trimmed(ellipse).shape == ellipse.shape


def test_at_most_a_third_and_a_little_is_cut_from_each_side() -> None:
    busy = np.asarray(noise(6, 60, 60))
    assert trimmed(framed(busy, 200, 255)).shape == framed(busy, 200, 255).shape
    plain = np.full((90, 70, 3), 12, np.uint8)
    assert trimmed(plain).shape == plain.shape
    for tiny in ((1, 1), (2, 5), (50, 1)):
        assert trimmed(np.zeros((*tiny, 3), np.uint8)).shape[:2] == tiny


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_every_way_of_resizing_gives_the_models_shape(resize: str) -> None:
    spec = InputSpec(name="x", size=(32, 48), resize=resize, dtype="uint8", layout="NHWC")
    tensor = to_tensor(np.full((100, 30, 3), 7, np.uint8), spec)
    assert tensor.shape == (32, 48, 3)
    assert tensor.dtype == np.uint8
    if resize == "pad":
        assert (tensor[:, 0] == 255).all()
        assert (tensor[:, 24] == 7).all()


def test_layout_colour_order_and_scaling_follow_the_manifest() -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[..., 0] = 255
    spec = InputSpec(name="x", size=(8, 8), color="BGR", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    tensor = to_tensor(pixels, spec)
    assert tensor.shape == (3, 8, 8)
    assert [float(tensor[c, 0, 0]) for c in range(3)] == [-1, -1, 1]


def test_scores_fall_with_distance_from_one_and_invert() -> None:
    score = ScoreSpec(midpoint=0.2, width=0.05)
    values = [score.score(d) for d in np.linspace(0, 2, 50)]
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert all(0 <= v <= 1 for v in values)
    assert all(abs(score.distance(score.score(d)) - d) < 1e-6 for d in (0.01, 0.2, 0.5))
    assert score.distance(0) == 2.0
    assert score.distance(1) < 1e-9
