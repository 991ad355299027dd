"""What the ONNX graph of a detector takes and says of itself, read from the file without running it."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.encoder.adding.picture_input import (
    PictureInput,
    UnusableGraph,
    graph_names,
    load_graph,
    own_scaling,
    picture_input,
)

__all__ = ["DetectorFacts", "UnusableGraph", "load_graph", "read_facts", "with_columns"]
_END_TO_END = {"boxes": (0, 4), "scores": (4, 5), "classes": (5, 6)}  # columns of a row


@dataclass(frozen=True)
class DetectorFacts:
    """What a graph says about itself.

    - `outputs`: their names, in the order of the graph.
    - `scaling`: by how much pixels are to be multiplied for a graph that scales them itself; None: it does not.
    - `names`: of all weights, nodes and outputs, in lower case.
    - `labels`: of the classes in order, where the file has them (Ultralytics writes them); else empty.
    - `external`: weights are in files of their own.
    """

    picture: PictureInput
    outputs: tuple[str, ...]
    scaling: float | None
    names: str
    labels: tuple[str, ...]
    external: bool


def read_facts(model: onnx.ModelProto) -> DetectorFacts:
    """What the graph says about itself. Raises UnusableGraph where it takes no picture, or something else as well."""
    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constants]
    taken = picture_input(model, inputs, alone=True)
    if others := [i.name for i in inputs if i.name != taken.name]:
        raise UnusableGraph(f"the model also needs {', '.join(others)}; export it with one input, the picture")
    if taken.batch not in (None, 1):
        raise UnusableGraph(f"the model takes {taken.batch} pictures at a time; export it for one, or for any number")
    return DetectorFacts(
        picture=taken, outputs=tuple(o.name for o in graph.output), scaling=own_scaling(graph, taken.name, constants),
        names=graph_names(graph), labels=_labels(model),
        external=any(t.data_location == TensorProto.EXTERNAL for t in graph.initializer),
    )  # fmt: skip


def with_columns(model: onnx.ModelProto, output: str) -> bytes:
    """The model with outputs `boxes`, `scores` and `classes` that are columns of `output`, shape (1, n, 6), in place of
    all its own. Raises UnusableGraph where it is too large for one file."""
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    if taken & set(_END_TO_END):
        raise UnusableGraph(f"the graph has values named {', '.join(sorted(taken & set(_END_TO_END)))}; rename them")
    del graph.output[:]
    for name, (first, end) in _END_TO_END.items():
        bounds = {"from": [first], "to": [end], "axis": [2]}
        for what, value in bounds.items():
            graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), f"{name} {what}"))
        squeezed = name if name == "boxes" else f"{name} column"
        graph.node.append(helper.make_node("Slice", [output, *(f"{name} {what}" for what in bounds)], [squeezed]))
        if name != "boxes":
            graph.node.append(helper.make_node("Squeeze", [squeezed, f"{name} axis"], [name]))
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return whole(model)


def whole(model: onnx.ModelProto) -> bytes:
    """The model as one file. Raises UnusableGraph where it is too large for that."""
    try:
        return bytes(model.SerializeToString())
    except Exception as error:  # a limit of protobuf
        raise UnusableGraph(f"the model does not fit into one file: {error}") from error


def _labels(model: onnx.ModelProto) -> tuple[str, ...]:
    """Ultralytics writes a dictionary of Python, {0: 'person', ...}; others write a list in JSON."""
    text = next((p.value for p in model.metadata_props if p.key in ("names", "labels", "classes")), "")
    found = _literal(text)
    if isinstance(found, dict):
        found = [found[key] for key in sorted(found)] if all(isinstance(key, int) for key in found) else None
    if isinstance(found, Sequence) and not isinstance(found, str) and all(isinstance(name, str) for name in found):
        return tuple(name[:256] for name in found)
    return ()


def _literal(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None
