"""What an ONNX graph takes and gives, read from the file without running it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto
from onnx.utils import Extractor

from service.encoder.adding.picture_input import (
    PictureInput,
    UnusableGraph,
    attribute,
    graph_names,
    load_graph,
    own_scaling,
    picture_input,
)

__all__ = ["GraphFacts", "PictureInput", "UnusableGraph", "cut_graph", "load_graph", "read_facts"]
_CLASS_WORDS = ("logit", "prob", "softmax", "class", "score")
_CLASS_COUNTS = frozenset({1000, 1001, 11821, 11822, 21841, 21843})  # of ImageNet in its usual forms
_BEHIND_CLASSES = frozenset({
    "Softmax", "LogSoftmax", "Sigmoid", "Add", "Identity", "Cast", "Squeeze", "Flatten", "Reshape",
})  # fmt: skip
_FEWEST_POSITIONS = 16


@dataclass(frozen=True)
class GraphFacts:
    """What a graph says about itself.

    - `outputs`: those that depend on the picture alone, in the order of the graph.
    - `other_inputs`: what else the graph takes, such as words.
    - `before_classes`: for each output of class scores, the value before the classifier.
    - `patch`: side of the squares that the picture is cut into; 0: it is not.
    - `sides`: sides in pixels that tables of positions fit.
    - `normalises`: by how much pixels are to be multiplied for a graph that scales them itself; None: it does not.
    - `names`: of all weights, nodes and outputs, in lower case.
    - `external`: weights are in files of their own.
    """

    picture: PictureInput
    outputs: tuple[str, ...]
    other_inputs: tuple[str, ...]
    before_classes: Mapping[str, str]
    patch: int
    sides: tuple[int, ...]
    normalises: float | None
    names: str
    external: bool


def read_facts(model: onnx.ModelProto) -> GraphFacts:
    """What the graph says about itself. Raises UnusableGraph where nothing takes a picture, or nothing comes of it."""
    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constants]
    taken = picture_input(model, inputs)
    others = tuple(i.name for i in inputs if i.name != taken.name)
    outputs = _outputs_of(graph, taken.name, others)
    patch = _patch_side(graph, constants)
    return GraphFacts(
        picture=taken, outputs=outputs, other_inputs=others,
        before_classes={o: v for o in outputs if (v := _before_classes(graph, constants, o))},
        patch=patch, sides=_sides(graph, patch), normalises=own_scaling(graph, taken.name, constants),
        names=graph_names(graph), external=any(t.data_location == TensorProto.EXTERNAL for t in graph.initializer),
    )  # fmt: skip


def cut_graph(path: Path, facts: GraphFacts, outputs: tuple[str, ...]) -> bytes:
    """A model of the nodes between the picture and the outputs alone, with all weights within. `outputs`: any values of
    the graph. Raises UnusableGraph where it is too large for one file, or a value does not exist."""
    model = load_graph(path, weights=True)
    known = {v.name for v in (*model.graph.value_info, *model.graph.output)}
    made = {name for node in model.graph.node for name in node.output}
    missing = [name for name in outputs if name not in made]
    if missing:
        raise UnusableGraph(f"the graph has no value {missing[0]!r}; its outputs are {', '.join(facts.outputs)}")
    described = model.graph.value_info
    described.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in known)
    try:
        part = Extractor(model).extract_model([facts.picture.name], list(outputs))
        content: bytes = part.SerializeToString()
    except Exception as error:  # a limit of protobuf, or a form of graph that the extractor does not know
        why = str(error) or type(error).__name__
        raise UnusableGraph(f"the part of the graph for pictures cannot be cut out: {why}; export it alone") from error
    return content


def _outputs_of(graph: Any, picture: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """The outputs that depend on the picture and on no other input."""
    sources: dict[str, frozenset[str]] = {name: frozenset({name}) for name in (picture, *others)}
    for node in graph.node:
        found = frozenset[str]().union(*(sources.get(name, frozenset()) for name in node.input))
        sources |= dict.fromkeys(node.output, found)
    outputs = tuple(o.name for o in graph.output if sources.get(o.name) == frozenset({picture}))
    if not outputs:
        raise UnusableGraph(
            f"no output depends on {picture!r} alone; the graph also takes {', '.join(others) or 'nothing else'}. "
            "Export the part for pictures by itself"
        )
    return outputs


def _before_classes(graph: Any, constants: Mapping[str, Any], output: str) -> str:
    """The value before the classifier, where an output consists of class scores; otherwise empty."""
    makers = {name: node for node in graph.node for name in node.output}
    value, node = output, makers.get(output)
    while node is not None and node.op_type in _BEHIND_CLASSES:
        value = next((i for i in node.input if i in makers), "")
        node = makers.get(value)
    if node is None or node.op_type not in ("Gemm", "MatMul", "Conv") or len(node.input) < 2:
        return ""
    shape = _constant_shape(node.input[1], constants, makers)
    if node.op_type == "Conv" and (len(shape) != 4 or shape[2:] != (1, 1)):
        return ""
    named = any(word in output.lower() for word in _CLASS_WORDS)
    return str(node.input[0]) if _CLASS_COUNTS & set(shape) or (named and shape) else ""


def _constant_shape(name: str, constants: Mapping[str, Any], makers: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of a weight, also of one that is turned or converted first; empty where it is none."""
    while name in makers and makers[name].op_type in ("Transpose", "Cast", "Identity", "DequantizeLinear"):
        name = makers[name].input[0]
    return tuple(constants[name].dims) if name in constants else ()


def _patch_side(graph: Any, constants: Mapping[str, Any]) -> int:
    first = next((n for n in graph.node if n.op_type == "Conv"), None)
    if first is None:
        return 0
    weight = constants.get(first.input[1])
    kernel = list(attribute(first, "kernel_shape", weight.dims[2:] if weight is not None else []))
    steps = list(attribute(first, "strides", []))
    return int(kernel[0]) if kernel and kernel == steps and kernel[0] >= 8 else 0


def _sides(graph: Any, patch: int) -> tuple[int, ...]:
    """Sides of square pictures whose patches are as many as the entries of a table, with a token or without."""
    if not patch:
        return ()
    tables = [t for t in graph.initializer if (len(t.dims) == 3 and t.dims[0] == 1)
              or (len(t.dims) == 2 and "pos" in t.name)]  # fmt: skip
    lengths = [t.dims[-2] for t in tables]
    roots = [math.isqrt(n - extra) for n in lengths for extra in (0, 1) if n > _FEWEST_POSITIONS
             and math.isqrt(n - extra) ** 2 == n - extra]  # fmt: skip
    return tuple(dict.fromkeys(patch * root for root in roots))
