"""Graphs with the operators, shapes and names of families of vision models, as their exports have them.

The widths, heads, patches, tokens and outputs are the real ones; the weights are random, and there are as many layers
as a test wants to pay for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.encoder.builtin.graph import Graph

PICTURE = "pixel_values"
_HEAD = 64  # numbers of one head of attention, in all of these models


@dataclass
class Layers:
    """Builds layers whose weights are drawn in order. width: of a token."""

    width: int
    graph: Graph = field(default_factory=Graph)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def weight(self, name: str, *shape: int) -> str:
        """Kernels keep the variance of what is behind a ReLU, matrices that of their input; biases are small."""
        scale = {4: (2 / np.prod(shape[1:])) ** 0.5, 1: 0.05}.get(len(shape), max(shape[0], shape[-2:][0]) ** -0.5)
        return self.graph.constant(self.rng.standard_normal(shape, np.float32) * np.float32(scale), name)

    def linear(self, value: str, name: str, inputs: int, outputs: int) -> str:
        product = self.graph.op("MatMul", [value, self.weight(f"{name}.weight", inputs, outputs)])
        return self.graph.op("Add", [product, self.weight(f"{name}.bias", outputs)])

    def norm(self, value: str, name: str) -> str:
        gain = 1 + self.rng.normal(0, 0.1, self.width).astype(np.float32)
        shape = [self.graph.constant(gain, f"{name}.weight"), self.weight(f"{name}.bias", self.width)]
        return self.graph.op("LayerNormalization", [value, *shape], axis=-1, epsilon=1e-6)

    def gelu(self, value: str) -> str:
        g = self.graph
        erf = g.op("Erf", [g.op("Div", [value, g.scalar(2**0.5)])])
        return g.scaled(g.op("Mul", [value, g.op("Add", [erf, g.scalar(1.0)])]), 0.5)

    def quick_gelu(self, value: str) -> str:
        return self.graph.op("Mul", [value, self.graph.op("Sigmoid", [self.graph.scaled(value, 1.702)])])

    def patches(self, source: str, name: str, side: int) -> str:
        """[n, 3, h, w] to [n, patches, width]."""
        kernel = self.weight(f"{name}.weight", self.width, 3, side, side)
        map_ = self.graph.op("Conv", [source, kernel, self.weight(f"{name}.bias", self.width)],
                             kernel_shape=[side, side], strides=[side, side])  # fmt: skip
        return self.graph.op("Transpose", [self.graph.reshape(map_, [0, self.width, -1])], perm=[0, 2, 1])

    def token(self, source: str, name: str, number: int = 1) -> str:
        """Learned tokens for each picture of `source`: [n, number, width]."""
        g = self.graph
        count = g.op("Shape", [source], start=0, end=1)
        shape = g.op("Concat", [count, g.constant(np.array([number, self.width], np.int64))], axis=0)
        return g.op("Expand", [self.weight(name, 1, number, self.width), shape])

    def with_tokens(self, source: str, patches: str, tokens: dict[str, int]) -> str:
        """The tokens, by name and number, before the patches of each picture."""
        return self.graph.op("Concat", [*(self.token(source, n, c) for n, c in tokens.items()), patches], axis=1)

    def heads(self, value: str) -> str:
        """[n, tokens, width] to [n, heads, tokens, 64]."""
        split = self.graph.reshape(value, [0, -1, self.width // _HEAD, _HEAD])
        return self.graph.op("Transpose", [split], perm=[0, 2, 1, 3])

    def attention(self, queries: str, values: str, name: str, turn: Callable[[str], str] = lambda v: v) -> str:
        g = self.graph
        query = turn(self.heads(self.linear(queries, f"{name}.q_proj", self.width, self.width)))
        key = turn(self.heads(self.linear(values, f"{name}.k_proj", self.width, self.width)))
        value = self.heads(self.linear(values, f"{name}.v_proj", self.width, self.width))
        likeness = g.scaled(g.op("MatMul", [query, g.op("Transpose", [key], perm=[0, 1, 3, 2])]), _HEAD**-0.5)
        mixed = g.op("MatMul", [g.op("Softmax", [likeness], axis=-1), value])
        joined = g.reshape(g.op("Transpose", [mixed], perm=[0, 2, 1, 3]), [0, -1, self.width])
        return self.linear(joined, f"{name}.out_proj", self.width, self.width)

    def mlp(self, value: str, name: str, activation: Callable[[str], str]) -> str:
        inner = activation(self.linear(value, f"{name}.fc1", self.width, 4 * self.width))
        return self.linear(inner, f"{name}.fc2", 4 * self.width, self.width)

    def added(self, value: str, branch: str, gain: str = "") -> str:
        """The value and a branch; `gain`: name of the branch's scale of each number (layer scale)."""
        if gain:
            branch = self.graph.op("Mul", [branch, self.weight(gain, self.width)])
        return self.graph.op("Add", [value, branch])

    def model(self, side: int | str, outputs: dict[str, tuple[str, list[int]]]) -> onnx.ModelProto:
        source = helper.make_tensor_value_info(PICTURE, TensorProto.FLOAT, ["n", 3, side, side])
        return self.graph.model("main_graph", source, outputs)


def dinov2(depth: int = 1) -> onnx.ModelProto:
    """ViT-S/14: a class token, learned positions, layer scale; [n, 257, 384]."""
    made = Layers(384)
    tokens = made.patches(PICTURE, "embeddings.patch_embeddings.projection", 14)
    tokens = made.with_tokens(PICTURE, tokens, {"embeddings.cls_token": 1})
    tokens = made.added(tokens, made.weight("embeddings.position_embeddings", 1, 257, 384))
    for number in range(depth):
        layer = f"encoder.layer.{number}"
        seen = made.norm(tokens, f"{layer}.norm1")
        tokens = made.added(tokens, made.attention(seen, seen, f"{layer}.attention"), f"{layer}.layer_scale1.lambda1")
        inner = made.mlp(made.norm(tokens, f"{layer}.norm2"), f"{layer}.mlp", made.gelu)
        tokens = made.added(tokens, inner, f"{layer}.layer_scale2.lambda1")
    return made.model(224, {"last_hidden_state": (made.norm(tokens, "layernorm"), [257, 384])})


def dinov3(depth: int = 1) -> onnx.ModelProto:
    """ViT-S/16: a class token and four registers, positions by rotation; [n, 201, 384]."""
    made = Layers(384)
    g = made.graph
    tokens = made.patches(PICTURE, "embeddings.patch_embeddings", 16)
    tokens = made.with_tokens(PICTURE, tokens, {"embeddings.cls_token": 1, "embeddings.register_tokens": 4})
    angles = np.repeat(np.arange(196, dtype=np.float32)[:, None] / np.geomspace(1, 100, _HEAD // 2), 2, axis=1)
    cosines = g.constant(np.cos(angles).astype(np.float32), "rope_embeddings.cos")
    sines = g.constant(np.sin(angles).astype(np.float32), "rope_embeddings.sin")

    def turn(value: str) -> str:
        first, rest = g.slice(value, axis=2, start=0, end=5), g.slice(value, axis=2, start=5, end=1000)
        low, high = (g.slice(rest, axis=3, start=s, end=s + _HEAD // 2) for s in (0, _HEAD // 2))
        half = g.op("Concat", [g.op("Neg", [high]), low], axis=-1)
        turned = g.op("Add", [g.op("Mul", [rest, cosines]), g.op("Mul", [half, sines])])
        return g.op("Concat", [first, turned], axis=2)

    for number in range(depth):
        layer = f"layer.{number}"
        seen = made.norm(tokens, f"{layer}.norm1")
        mixed = made.attention(seen, seen, f"{layer}.attention", turn)
        tokens = made.added(tokens, mixed, f"{layer}.layer_scale1.lambda1")
        inner = made.mlp(made.norm(tokens, f"{layer}.norm2"), f"{layer}.mlp", made.gelu)
        tokens = made.added(tokens, inner, f"{layer}.layer_scale2.lambda1")
    whole = made.norm(tokens, "norm")
    first = g.flat(g.slice(whole, axis=1, start=0, end=1))
    return made.model(224, {"last_hidden_state": (whole, [201, 384]), "pooler_output": (first, [384])})


def clip_vision(depth: int = 1) -> onnx.ModelProto:
    """ViT-B/32 with the projection; [n, 512]."""
    made = Layers(768)
    vector = _clip_tower(made, depth)
    return made.model(224, {"image_embeds": (vector, [512])})


def clip_both(depth: int = 1) -> onnx.ModelProto:
    """CLIP with words, as exports of the whole model are: it also gives the score of every picture for every text."""
    model = clip_vision(depth)
    graph, rng = model.graph, np.random.default_rng(6)
    constants: dict[str, np.ndarray] = {
        "text_model.embeddings.token_embedding.weight": rng.standard_normal((400, 512), np.float32),
        "axis": np.array([1], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    graph.node.extend([
        helper.make_node("Gather", [next(iter(constants)), "input_ids"], ["words"]),
        helper.make_node("ReduceMean", ["words", "axis"], ["text_embeds"], keepdims=0),
        helper.make_node("Transpose", ["text_embeds"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["image_embeds", "turned"], ["logits_per_image"]),
    ])  # fmt: skip
    graph.input.insert(0, helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "words"]))
    graph.output.insert(0, helper.make_tensor_value_info("logits_per_image", TensorProto.FLOAT, ["n", "texts"]))
    graph.output.append(helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["texts", 512]))
    onnx.checker.check_model(model, full_check=True)
    return model


def siglip(depth: int = 1, side: int = 224, prefix: str = "vision_model.") -> onnx.ModelProto:
    """ViT-B/16 without a class token; attention of a learned probe pools; [n, 768]."""
    made = Layers(768)
    count = (side // 16) ** 2
    tokens = made.patches(PICTURE, f"{prefix}embeddings.patch_embedding", 16)
    tokens = made.added(tokens, made.weight(f"{prefix}embeddings.position_embedding.weight", 1, count, 768))
    for number in range(depth):
        tokens = _plain_layer(made, tokens, f"{prefix}encoder.layers.{number}", made.gelu)
    whole = made.norm(tokens, f"{prefix}post_layernorm")
    probe = made.token(PICTURE, f"{prefix}head.probe")
    pooled = made.attention(probe, whole, f"{prefix}head.attention")
    inner = made.mlp(made.norm(pooled, f"{prefix}head.layernorm"), f"{prefix}head.mlp", made.gelu)
    vector = made.graph.flat(made.added(pooled, inner))
    return made.model(side, {"last_hidden_state": (whole, [count, 768]), "pooler_output": (vector, [768])})


def mobilenet(classes: int = 1000, side: int | str = 224) -> onnx.ModelProto:
    """MobileNetV2: all of its 17 inverted residuals, and the classifier; [n, classes]."""
    made = Layers(1280)
    value = _conv6(made, PICTURE, (3, 32), 3, 2, name="features.0.0")
    inputs, number = 32, 0
    for factor, outputs, repeats, step in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for repeat in range(repeats):
            number += 1
            wide, name = inputs * factor, f"features.{number}.conv"
            inner = value if factor == 1 else _conv6(made, value, (inputs, wide), 1, 1, name=f"{name}.0")
            inner = _conv6(made, inner, (wide, wide), 3, step if repeat == 0 else 1, groups=wide, name=f"{name}.1")
            inner = _conv(made, inner, (wide, outputs), 1, 1, name=f"{name}.2")
            value = made.added(value, inner) if inputs == outputs else inner
            inputs = outputs
    value = made.graph.mean(_conv6(made, value, (320, 1280), 1, 1, name="features.18.0"))
    scores = made.graph.op("Gemm", [value, made.weight("classifier.1.weight", classes, 1280),
                                    made.weight("classifier.1.bias", classes)], transB=1)  # fmt: skip
    return made.model(side, {"logits": (scores, [classes])})


def small(*, source: Any = None, before: Sequence[Any] = ()) -> onnx.ModelProto:
    """A convolution of 8 x 8 patches to 16 channels, with what is said before it."""
    rng = np.random.default_rng(2)
    taken = source or helper.make_tensor_value_info(PICTURE, TensorProto.FLOAT, ["n", 3, "h", "w"])
    value = before[-1].output[0] if before else PICTURE
    kernel = numpy_helper.from_array(rng.normal(size=(16, 3, 8, 8)).astype(np.float32), "kernel")
    nodes = [*before, helper.make_node("Conv", [value, "kernel"], ["map"], strides=[8, 8], kernel_shape=[8, 8])]
    made = helper.make_tensor_value_info("map", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "small", [taken], [made], initializer=[kernel])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _clip_tower(made: Layers, depth: int) -> str:
    tokens = made.patches(PICTURE, "vision_model.embeddings.patch_embedding", 32)
    tokens = made.with_tokens(PICTURE, tokens, {"vision_model.embeddings.class_embedding": 1})
    tokens = made.added(tokens, made.weight("vision_model.embeddings.position_embedding.weight", 1, 50, 768))
    tokens = made.norm(tokens, "vision_model.pre_layrnorm")
    for number in range(depth):
        tokens = _plain_layer(made, tokens, f"vision_model.encoder.layers.{number}", made.quick_gelu)
    first = made.graph.flat(made.graph.slice(tokens, axis=1, start=0, end=1))
    normed = made.norm(first, "vision_model.post_layernorm")
    return made.graph.op("MatMul", [normed, made.weight("visual_projection.weight", 768, 512)])


def _plain_layer(made: Layers, tokens: str, name: str, activation: Callable[[str], str]) -> str:
    seen = made.norm(tokens, f"{name}.layer_norm1")
    tokens = made.added(tokens, made.attention(seen, seen, f"{name}.self_attn"))
    return made.added(tokens, made.mlp(made.norm(tokens, f"{name}.layer_norm2"), f"{name}.mlp", activation))


def _conv(
    made: Layers, value: str, channels: tuple[int, int], size: int, step: int, *, groups: int = 1, name: str
) -> str:
    inputs, outputs = channels
    kernel = made.weight(f"{name}.weight", outputs, inputs // groups, size, size)
    pad = size // 2
    return made.graph.op("Conv", [value, kernel, made.weight(f"{name}.bias", outputs)], kernel_shape=[size, size],
                         strides=[step, step], pads=[pad] * 4, group=groups)  # fmt: skip


def _conv6(
    made: Layers, value: str, channels: tuple[int, int], size: int, step: int, *, groups: int = 1, name: str
) -> str:
    g = made.graph
    return g.op(
        "Clip", [_conv(made, value, channels, size, step, groups=groups, name=name), g.scalar(0.0), g.scalar(6.0)]
    )
