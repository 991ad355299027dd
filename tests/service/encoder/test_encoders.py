import json
from pathlib import Path

import numpy as np
import pytest

from service.encoder.builtin.build import build_files
from service.encoder.manifest import InputSpec, ScoreSpec, read_manifest
from service.encoder.preprocess import to_tensor
from service.encoder.registry import BUILTIN_FOLDER, EncoderRegistry
from service.errors import ServiceError, SettingError
from service.intake.decode import decode
from service.intake.limits import PictureLimits
from tests.support.pictures import encode, noise
from tests.support.shared import clothing, own_encoder


def embed(registry: EncoderRegistry, encoder_id: str, pictures: list[bytes]) -> np.ndarray:
    session = registry.session(encoder_id)
    spec = session.manifest.input
    return session.run(np.stack([to_tensor(decode(p, PictureLimits()), spec) for p in pictures]))


def builtin() -> EncoderRegistry:
    return EncoderRegistry(None, "builtin", 2)


def test_the_built_in_encoder_is_byte_for_byte_what_its_script_builds() -> None:
    for name, content in build_files().items():
        assert (BUILTIN_FOLDER / name).read_bytes() == content


def test_vectors_are_normalised_and_do_not_depend_on_the_batch() -> None:
    pictures = [encode(noise(n)) for n in range(9)]
    together = embed(builtin(), "builtin", pictures)
    alone = np.concatenate([embed(builtin(), "builtin", [p]) for p in pictures[:3]])
    assert together.shape == (9, 384)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together[:3], alone, atol=1e-5)


def test_altered_copies_lie_nearer_than_other_pictures() -> None:
    originals = [noise(n) for n in range(40)]
    base = embed(builtin(), "builtin", [encode(p) for p in originals])
    for alter in (
        lambda p: encode(p, "JPEG", quality=40),
        lambda p: encode(p.transpose(0)),
        lambda p: encode(p.resize((60, 45))),
        lambda p: encode(p.crop((6, 4, 114, 86))),
    ):
        copies = embed(builtin(), "builtin", [alter(p) for p in originals])
        assert ((copies @ base.T).argmax(1) == np.arange(40)).mean() >= 0.95


def test_a_plain_picture_of_one_colour_still_gives_a_finite_vector() -> None:
    from PIL import Image

    for colour in ("white", "black", "red"):
        vector = embed(builtin(), "builtin", [encode(Image.new("RGB", (50, 50), colour))])[0]
        assert np.isfinite(vector).all()
        assert abs(np.linalg.norm(vector) - 1) < 1e-5


def test_an_encoder_of_ones_own_is_found_loaded_and_agrees_with_onnxruntime_alone(tmp_path: Path) -> None:
    import cv2
    import onnxruntime

    registry = EncoderRegistry(own_encoder(tmp_path), "mobilenet-v2", 2)
    paths = [p for p, _ in clothing()[:6]]
    found = embed(registry, "mobilenet-v2", [p.read_bytes() for p in paths])
    session = onnxruntime.InferenceSession(str(tmp_path / "mobilenet" / "model.onnx"))
    for path, vector in zip(paths, found, strict=True):
        small = cv2.resize(cv2.imread(str(path)), (224, 224), interpolation=cv2.INTER_AREA)[:, :, ::-1]
        tensor = (small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        expected = session.run(None, {"image": tensor})[0].reshape(-1)
        assert float(vector @ expected) / np.linalg.norm(expected) > 0.99999


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"sha256": "short"}, "64 hexadecimal digits"),
        ({"model": "../encoder.onnx"}, "without a path"),
        ({"model": "gone.onnx"}, "put the model beside"),
        ({"id": "Bad Id"}, "encoder id"),
        ({"extra": 1}, "extra"),
        ({"input": {"name": "pixels", "size": [1, 1]}}, "input.size.0"),
        ({"output": {"name": "embedding", "dimension": 7}}, "not 7"),
        ({"output": {"name": "nothing", "dimension": 384}}, "no output 'nothing'"),
        ({"input": {"name": "wrong", "size": [96, 96]}}, "no input 'wrong'"),
    ],
)
def test_a_manifest_that_does_not_fit_stops_with_its_remedy(tmp_path: Path, change: dict, said: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "encoder.onnx").write_bytes((BUILTIN_FOLDER / "encoder.onnx").read_bytes())
    manifest = {**json.loads((BUILTIN_FOLDER / "encoder.json").read_text()), "id": "mine", **change}
    (folder / "encoder.json").write_text(json.dumps(manifest))
    with pytest.raises(SettingError, match=said):
        EncoderRegistry(tmp_path, "mine", 1).session("mine")


def test_two_encoders_of_one_id_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("encoder.onnx", "encoder.json"):
        (folder / name).write_bytes((BUILTIN_FOLDER / name).read_bytes())
    with pytest.raises(SettingError, match="another encoder has the id"):
        EncoderRegistry(tmp_path, "builtin", 1)


def test_a_model_that_is_no_model_stops_with_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "encoder.onnx").write_bytes(b"not a model")
    import hashlib

    manifest = json.loads((BUILTIN_FOLDER / "encoder.json").read_text())
    manifest.update(id="broken", sha256=hashlib.sha256(b"not a model").hexdigest())
    (folder / "encoder.json").write_text(json.dumps(manifest))
    with pytest.raises(SettingError, match="encoder broken"):
        EncoderRegistry(tmp_path, "builtin", 1).session("broken")


def test_an_unknown_encoder_is_named_with_those_that_exist() -> None:
    with pytest.raises(ServiceError, match="there are builtin"):
        builtin().manifest("clip")
    with pytest.raises(SettingError, match="default_encoder"):
        EncoderRegistry(None, "clip", 1)


def test_the_fingerprint_changes_with_whatever_changes_a_vector() -> None:
    manifest = read_manifest(BUILTIN_FOLDER)
    resized = manifest.model_copy(update={"input": manifest.input.model_copy(update={"resize": "crop"})})
    described = manifest.model_copy(update={"description": "other words"})
    assert resized.fingerprint != manifest.fingerprint
    assert described.fingerprint == manifest.fingerprint


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_every_way_of_resizing_gives_the_models_shape(resize: str) -> None:
    spec = InputSpec(name="x", size=(32, 48), resize=resize, dtype="uint8", layout="NHWC")
    tensor = to_tensor(np.full((100, 30, 3), 7, np.uint8), spec)
    assert (tensor.shape, tensor.dtype) == ((32, 48, 3), np.uint8)
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
