"""Merges an encoder and a fitted projection into one ONNX file."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.encoder.contract import Encoder, picture_vectors
from service.encoder.manifest import Manifest, OutputSpec, ScoreSpec
from service.training.fitting import Projection

OUTPUT = "afterimage_own"
_PREFIX = "afterimage_own_"
_AXES_ARE_INPUTS = 18  # from this opset version on, the axes of ReduceMean are an input
_LARGEST_DIFFERENCE = 1e-3


class FusingFailed(Exception):
    """The merged model does not produce the same vectors as encoder and projection in sequence."""


def fuse(model: bytes, base: Manifest, projection: Projection) -> bytes:
    """Merges the base encoder, its pooling, its normalisation and the projection into one graph.

    `model`: content of the encoder's file. Returns the new file. Raises FusingFailed.
    """
    found = onnx.load_from_string(model)
    graph = found.graph
    opset = next(o.version for o in found.opset_import if o.domain in ("", "ai.onnx"))
    tail = _Tail(graph)
    pooled = _pooled(tail, base.output, base.input.layout, opset)
    unit = tail.op("LpNormalization", [pooled], axis=1, p=2)
    mean = tail.constant("mean", projection.mean.astype(np.float32)[None])
    matrix = tail.constant("matrix", projection.matrix.astype(np.float32))
    tail.op("MatMul", [tail.op("Sub", [unit, mean]), matrix], output=OUTPUT)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", projection.matrix.shape[1]]))
    fused: bytes = found.SerializeToString()
    return fused


def fused_manifest(base: Manifest, fused: bytes, encoder_id: str, owner: str, score: ScoreSpec, text: str) -> Manifest:
    """The manifest of a merged model. `text`: its description for people."""
    return Manifest(
        id=encoder_id, version="1", license=f"of tenant {owner}", model="model.onnx",
        sha256=hashlib.sha256(fused).hexdigest(), input=base.input,
        output=OutputSpec(name=OUTPUT, dimension=base.output.dimension), score=score, description=text,
    )  # fmt: skip


def check_fused(base: Encoder, fused: Encoder, projection: Projection) -> None:
    """Raises FusingFailed if the merged model's vectors differ from those of encoder and projection in sequence."""
    (trial,) = base.trial(1)
    noise = np.random.default_rng(0).random((2, *trial.shape))
    tensors = (noise * 255).astype(np.uint8) if trial.dtype == np.uint8 else noise.astype(trial.dtype)
    expected = projection.apply(picture_vectors(base, tensors).astype(np.float64))
    difference = float(np.abs(picture_vectors(fused, tensors) - expected).max())
    if difference > _LARGEST_DIFFERENCE:
        raise FusingFailed(f"vectors of the merged model differ by {difference:.2g}")


class _Tail:
    """Appends nodes to a graph, with unique names."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph, self._count = graph, 0

    def op(self, kind: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        self._count += 1
        name = output or f"{_PREFIX}{self._count}"
        self._graph.node.append(helper.make_node(kind, inputs, [name], name=f"{name}_node", **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        self._graph.initializer.append(numpy_helper.from_array(value, _PREFIX + name))
        return _PREFIX + name


def _pooled(tail: _Tail, spec: OutputSpec, layout: str, opset: int) -> str:
    """Adds the pooling of `service.encoder.session` to the graph."""
    given = tail.op("Cast", [spec.name], to=TensorProto.FLOAT)
    if spec.pooling == "cls":
        first = tail.constant("first", np.array(0, np.int64))
        given = tail.op("Gather", [given, first], axis=1)
    elif spec.pooling != "none":
        axes = [1] if spec.pooling == "mean_tokens" else [2, 3] if layout == "NCHW" else [1, 2]
        if opset >= _AXES_ARE_INPUTS:
            given = tail.op("ReduceMean", [given, tail.constant("axes", np.array(axes, np.int64))], keepdims=0)
        else:
            given = tail.op("ReduceMean", [given], axes=axes, keepdims=0)
    return tail.op("Flatten", [given], axis=1)
