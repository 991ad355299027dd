"""The merged file of encoder and projection equals the two in sequence, for every kind of pooling."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.encoder.manifest import InputSpec, Manifest, OutputSpec, ScoreSpec
from service.encoder.session import EncoderSession
from service.training.fitting import Projection
from service.training.fusing import FusingFailed, check_fused, fuse, fused_manifest

SIDE, CHANNELS = 8, 3


def base(pooling: str, layout: str, opset: int) -> tuple[bytes, Manifest]:
    """An encoder that returns maps, or tokens, of its pixels."""
    chw = [CHANNELS, SIDE, SIDE] if layout == "NCHW" else [SIDE, SIDE, CHANNELS]
    given = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", *chw])
    shape = {"none": [0, -1], "cls": [0, SIDE, -1], "mean_tokens": [0, SIDE, -1], "global_average": [0, *chw]}[pooling]
    rank = {"none": 2, "cls": 3, "mean_tokens": 3, "global_average": 4}[pooling]
    made = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", *[None] * (rank - 1)])
    nodes = [helper.make_node("Reshape", ["pixels", "shape"], ["out"])]
    initial = [helper.make_tensor("shape", TensorProto.INT64, [len(shape)], shape)]
    graph = helper.make_graph(nodes, "base", [given], [made], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    dimension = {"none": 192, "cls": 24, "mean_tokens": 24, "global_average": CHANNELS}[pooling]
    content = model.SerializeToString()
    manifest = Manifest(
        id="base", version="1", license="none", model="model.onnx", sha256=hashlib.sha256(content).hexdigest(),
        input=InputSpec(name="pixels", size=(SIDE, SIDE), layout=layout),
        output=OutputSpec(name="out", dimension=dimension, pooling=pooling),
    )  # fmt: skip
    return content, manifest


def projection(dimension: int, seed: int = 3) -> Projection:
    chance = np.random.default_rng(seed)
    return Projection(chance.standard_normal(dimension) * 0.1, chance.standard_normal((dimension, dimension)))


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("pooling", ["none", "cls", "mean_tokens", "global_average"])
def test_a_fused_model_gives_what_the_two_give(pooling: str, layout: str, opset: int) -> None:
    content, manifest = base(pooling, layout, opset)
    wanted = projection(manifest.output.dimension)
    fused = fuse(content, manifest, wanted)
    told = fused_manifest(manifest, fused, "own-x", "uid", ScoreSpec(), "a test")
    assert (told.license, told.is_own, told.input) == ("of tenant uid", True, manifest.input)
    check_fused(EncoderSession(content, manifest, 1), EncoderSession(fused, told, 1), wanted)


def test_a_fused_model_that_gives_something_else_is_refused() -> None:
    content, manifest = base("none", "NCHW", 18)
    fused = fuse(content, manifest, projection(192))
    told = fused_manifest(manifest, fused, "own-x", "uid", ScoreSpec(), "a test")
    with pytest.raises(FusingFailed, match="differ by"):
        check_fused(EncoderSession(content, manifest, 1), EncoderSession(fused, told, 1), projection(192, seed=4))
