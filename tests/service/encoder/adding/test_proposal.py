from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from service.encoder.adding.families import FAMILIES, recognise
from service.encoder.adding.graph import UnusableGraph
from service.encoder.adding.model_file import Proposal
from service.encoder.adding.proposal import Wishes, encoder_id_of, propose
from service.encoder.contract import picture_vectors
from service.encoder.kinds import load_kind
from service.encoder.manifest import Manifest
from service.encoder.preprocess import to_tensor
from tests.support.data.pictures import noise
from tests.support.data.vision_models import PICTURE, clip_both, clip_vision, dinov2, dinov3, mobilenet, siglip, small
from tests.support.shared import mobilenet_file

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
Model = onnx.ModelProto


def saved(folder: Path, model: Model, name: str = "model.onnx") -> Path:
    path = folder / "picture-tower" / name
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path)
    return path


def picture() -> np.ndarray:
    return np.asarray(noise(3, 400, 300))


def vector_of(path: Path, found: Proposal[Manifest]) -> np.ndarray:
    source = path.parent if found.content is None else found.content
    encoder = load_kind(source, found.manifest, 1)
    return picture_vectors(encoder, [to_tensor(picture(), found.manifest.input)])[0]


def prepared(resize: str, mean: tuple[float, ...], std: tuple[float, ...], side: int = 224) -> np.ndarray:
    """The picture as the makers of a family prepare it, NCHW."""
    whole = picture()
    if resize == "stretch":
        small = cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA)
    else:
        shorter = round(side / float(resize))
        wide = cv2.resize(whole, (round(400 * shorter / 300), shorter), interpolation=cv2.INTER_AREA)
        top, left = (wide.shape[0] - side) // 2, (wide.shape[1] - side) // 2
        small = wide[top : top + side, left : left + side]
    scaled = (small.astype(np.float32) / 255 - np.array(mean, np.float32)) / np.array(std, np.float32)
    return scaled.transpose(2, 0, 1)[None].astype(np.float32)


def run_alone(path: Path, output: str, tensor: np.ndarray, **others: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path))
    return session.run([output], {PICTURE: tensor, **others})[0]


FAMILY_CASES: list[tuple[str, Callable[[], Model], str, str, str, int, Callable[[Path], np.ndarray]]] = [
    ("dinov2", dinov2, "model.onnx", "last_hidden_state", "cls", 384,
     lambda p: run_alone(p, "last_hidden_state", prepared("0.875", IMAGENET_MEAN, IMAGENET_STD))[0, 0]),
    ("dinov3", dinov3, "model.onnx", "pooler_output", "none", 384,
     lambda p: run_alone(p, "last_hidden_state", prepared("stretch", IMAGENET_MEAN, IMAGENET_STD))[0, 0]),
    ("clip", clip_vision, "model.onnx", "image_embeds", "none", 512,
     lambda p: run_alone(p, "image_embeds", prepared("1.0", CLIP_MEAN, CLIP_STD))[0]),
    ("siglip", siglip, "model.onnx", "pooler_output", "none", 768,
     lambda p: run_alone(p, "pooler_output", prepared("stretch", HALF, HALF))[0]),
    ("siglip2", lambda: siglip(side=256), "siglip2-base-patch16-256.onnx", "pooler_output", "none", 768,
     lambda p: run_alone(p, "pooler_output", prepared("stretch", HALF, HALF, 256))[0]),
    ("marqo-ecommerce", lambda: siglip(prefix="visual.trunk."), "marqo-ecommerce-embeddings-B.onnx", "pooler_output",
     "none", 768, lambda p: run_alone(p, "pooler_output", prepared("stretch", HALF, HALF))[0]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "make", "name", "output", "pooling", "dimension", "oracle"),
    FAMILY_CASES, ids=[case[0] for case in FAMILY_CASES],
)  # fmt: skip
def test_an_export_of_each_family_becomes_the_encoder_that_its_makers_describe(
    tmp_path: Path, family: str, make: Callable[[], Model], name: str, output: str, pooling: str, dimension: int,
    oracle: Callable[[Path], np.ndarray],
) -> None:  # fmt: skip
    path = saved(tmp_path, make(), name)
    found = propose(path, Wishes(encoder_id="tried"))
    assert {g.what: g.value for g in found.guesses}["family"] == family
    assert (found.manifest.output.name, found.manifest.output.pooling) == (output, pooling)
    assert found.manifest.output.dimension == dimension
    assert found.content is None
    assert found.manifest.model == name
    expected = oracle(path)
    assert float(vector_of(path, found) @ expected) / np.linalg.norm(expected) > 0.99999


def test_a_classifier_is_cut_off_and_the_vector_before_it_is_the_mean_of_its_map(tmp_path: Path) -> None:
    model = mobilenet()
    features = model.graph.node[-2].input[0]  # before Gemm and Identity
    path = saved(tmp_path, model, "mobilenet_v2.onnx")
    found = propose(path, Wishes())
    assert {g.what: g.value for g in found.guesses}["family"] == "imagenet"  # torchvision's names of layers
    assert found.manifest.output.name == features
    assert found.manifest.output.dimension == 1280
    assert found.manifest.model == "encoder.onnx"  # the file itself stays as it is
    model.graph.output.append(helper.make_tensor_value_info(features, TensorProto.FLOAT, ["n", 1280]))
    whole = saved(tmp_path, model, "whole.onnx")
    expected = run_alone(whole, features, prepared("0.875", IMAGENET_MEAN, IMAGENET_STD))[0]
    assert float(vector_of(path, found) @ expected) / np.linalg.norm(expected) > 0.99999


def test_the_class_scores_themselves_are_the_vector_where_the_operator_says_so(tmp_path: Path) -> None:
    found = propose(saved(tmp_path, mobilenet()), Wishes(encoder_id="classes", output="logits"))
    assert (found.manifest.output.name, found.manifest.output.dimension) == ("logits", 1000)
    assert found.content is None


def test_the_picture_tower_is_cut_out_of_a_model_that_also_takes_words(tmp_path: Path) -> None:
    path = saved(tmp_path, clip_both(), "clip-both.onnx")
    found = propose(path, Wishes())
    assert found.manifest.output.name == "image_embeds"
    assert found.content is not None
    assert [i.name for i in onnx.load_from_string(found.content).graph.input] == [PICTURE]
    assert "text_model" not in str([t.name for t in onnx.load_from_string(found.content).graph.initializer])
    words = np.array([[1, 2]], np.int64)
    expected = run_alone(path, "image_embeds", prepared("1.0", CLIP_MEAN, CLIP_STD), input_ids=words)[0]
    assert float(vector_of(path, found) @ expected) / np.linalg.norm(expected) > 0.99999


def test_weights_in_files_of_their_own_become_part_of_the_model(tmp_path: Path) -> None:
    whole = saved(tmp_path, dinov2())
    apart = tmp_path / "apart" / "dinov2-small.onnx"
    apart.parent.mkdir()
    onnx.save(dinov2(), apart, save_as_external_data=True, location="weights.bin", size_threshold=1024)
    found = propose(apart, Wishes())
    assert found.content is not None
    (apart.parent / "weights.bin").unlink()
    assert np.allclose(vector_of(apart, found), vector_of(whole, propose(whole, Wishes(family="dinov2"))), atol=1e-6)


def test_the_real_mobilenet_is_recognised_with_the_preprocessing_it_was_trained_with() -> None:
    found = propose(mobilenet_file(), Wishes())
    spec = found.manifest.input
    assert found.manifest.id == "mobilenet_v2_224"
    assert (spec.name, spec.size, spec.layout, spec.resize) == ("image", (224, 224), "NCHW", "stretch")
    assert [(v * spec.scale - m) / s for v in (0, 255) for m, s in zip(spec.mean, spec.std, strict=True)] == [
        -1
    ] * 3 + [1] * 3
    assert (found.manifest.output.name, found.manifest.output.dimension) == ("embedding", 1280)
    assert found.manifest.output.pooling == "none"


def constant(name: str, value: float) -> Any:
    return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, TensorProto.FLOAT, [], [value]))


def test_a_map_of_features_is_averaged_and_an_open_size_is_the_usual_one(tmp_path: Path) -> None:
    path = saved(tmp_path, small())
    found = propose(path, Wishes())
    assert found.manifest.input.size == (224, 224)
    assert (found.manifest.output.pooling, found.manifest.output.dimension) == ("global_average", 16)
    expected = run_alone(path, "map", prepared("0.875", IMAGENET_MEAN, IMAGENET_STD)).mean(axis=(2, 3))[0]
    assert float(vector_of(path, found) @ expected) / np.linalg.norm(expected) > 0.99999


def test_a_table_of_positions_gives_the_size_that_the_graph_leaves_open(tmp_path: Path) -> None:
    model = siglip(side=256)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    del model.graph.value_info[:]
    found = propose(saved(tmp_path, model), Wishes())
    assert found.manifest.input.size == (256, 256)


def test_a_stated_size_output_pooling_and_resize_go_before_any_guess(tmp_path: Path) -> None:
    wishes = Wishes("mine", family="clip", output="map", pooling="none", size=(16, 24), resize="pad", license="MIT")
    manifest = propose(saved(tmp_path, small()), wishes).manifest
    assert (manifest.id, manifest.license) == ("mine", "MIT")
    assert (manifest.input.size, manifest.input.resize, manifest.input.mean) == ((16, 24), "pad", CLIP_MEAN)
    assert (manifest.output.pooling, manifest.output.dimension) == ("none", 16 * 2 * 3)


def test_pictures_of_bytes_in_rows_of_pixels_are_not_scaled(tmp_path: Path) -> None:
    source = helper.make_tensor_value_info(PICTURE, TensorProto.UINT8, ["n", "h", "w", 3])
    before = [
        helper.make_node("Cast", [PICTURE], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    spec = propose(saved(tmp_path, small(source=source, before=before)), Wishes()).manifest.input
    assert (spec.layout, spec.dtype) == ("NHWC", "uint8")


@pytest.mark.parametrize(("divisor", "scale"), [(127.5, 1.0), (0.5, 1 / 255)])
def test_a_graph_that_scales_pixels_itself_gets_them_in_the_range_that_it_expects(
    tmp_path: Path, divisor: float, scale: float
) -> None:
    before = [constant("d", divisor), helper.make_node("Div", [PICTURE, "d"], ["scaled"])]
    spec = propose(saved(tmp_path, small(before=before)), Wishes()).manifest.input
    assert (spec.scale, spec.mean, spec.std) == (scale, (0, 0, 0), (1, 1, 1))


def no_picture() -> Model:
    node = helper.make_node("Identity", ["words"], ["same"])
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 77]) for n in ("words", "same")]
    return helper.make_model(helper.make_graph([node], "words", values[:1], values[1:]), ir_version=9)


def doubles() -> Model:
    return small(source=helper.make_tensor_value_info(PICTURE, TensorProto.DOUBLE, ["n", 3, 32, 32]))


def mixed() -> Model:
    """One output alone, which also depends on a mask."""
    model = small()
    model.graph.node[0].output[0] = "unmasked"
    model.graph.node.append(helper.make_node("Mul", ["unmasked", "mask"], ["map"]))
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    return model


@pytest.mark.parametrize(
    ("make", "wishes", "said"),
    [
        (no_picture, Wishes(), r"no input takes pictures.* inputs: words: \[n, 77\]"),
        (doubles, Wishes(), "takes DOUBLE; export the model with float32"),
        (mixed, Wishes(), "no output depends on 'pixel_values' alone; the graph also takes mask"),
        (small, Wishes(output="gone"), "the graph has no value 'gone'; its outputs are map"),
        (small, Wishes(pooling="none"), "12544 dimensions, more than 8192"),
        (small, Wishes(size=(4, 4)), r"does not run on a picture of 4 x 4; pass --size"),
        (clip_vision, Wishes(size=(256, 256)), "takes pictures of 224 x 224 only"),
    ],
)
def test_a_graph_that_cannot_become_an_encoder_is_refused_with_the_reason(
    tmp_path: Path, make: Callable[[], Model], wishes: Wishes, said: str
) -> None:
    with pytest.raises(UnusableGraph, match=said):
        propose(saved(tmp_path, make()), wishes)


def test_a_file_that_is_no_model_or_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "words.onnx").write_bytes(b"no model at all")
    for name, said in (("words.onnx", "not an ONNX model"), ("gone.onnx", "No such file")):
        with pytest.raises(UnusableGraph, match=f"{name}.*{said}"):
            propose(tmp_path / name, Wishes())


def test_ids_follow_from_the_file_or_from_its_folder(tmp_path: Path) -> None:
    assert encoder_id_of(tmp_path / "DINOv2 Small.onnx") == "dinov2-small"
    assert encoder_id_of(tmp_path / "Shoes_v1" / "model.onnx") == "shoes_v1"
    for name in ("builtin.onnx", "own-shoes.onnx", "---.onnx"):
        with pytest.raises(UnusableGraph, match="pass --id"):
            encoder_id_of(tmp_path / name)


def test_layers_of_folded_exports_tell_the_family_before_the_name_of_the_file() -> None:
    torchvision = "onnx::conv_538\n/features/features.0/features.0.0/conv\nlogits"
    assert recognise(torchvision, "mobilenet_v2").name == "imagenet"
    assert recognise("onnx::conv_1734\n/model/conv_stem/first_conv/convolution/conv", "shoes").name == "mobilenet"
    assert recognise("/layer1/layer1.0/conv1/conv", "shoes").by.startswith("names in the graph")


def test_every_family_is_recognised_by_the_name_of_a_file_that_carries_it() -> None:
    for name in FAMILIES:
        if name != "imagenet":
            assert recognise("", f"{name}-base").name == name
    assert recognise("", "ViT-B-16-SigLIP").name == "siglip"
    assert recognise("", "shoes") == recognise("nothing of note", "")
