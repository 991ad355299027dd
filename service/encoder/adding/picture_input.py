"""The input of a graph that takes pictures, and what is done with pixels first, read from the file alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from onnx import TensorProto, numpy_helper

_DTYPES: Mapping[int, Literal["float32", "float16", "uint8"]] = {
    TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.UINT8: "uint8",
}  # fmt: skip
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
_PLAIN = frozenset({"Cast", "Transpose", "Identity"})
_BYTE_RANGE = 2.0  # constants above it belong to pixels of 0 to 255


class UnusableGraph(ValueError):
    """The file cannot become an encoder or a detector. The message says why, and what to do."""


@dataclass(frozen=True)
class PictureInput:
    """The input for pictures. size: height and width, or None where the graph leaves them open. batch: the number of
    pictures in a run, or None for any. alone: there is no axis for a batch."""

    name: str
    layout: Literal["NCHW", "NHWC"]
    size: tuple[int, int] | None
    batch: int | None
    dtype: Literal["float32", "float16", "uint8"]
    alone: bool = False


def load_graph(path: Path, *, weights: bool) -> onnx.ModelProto:
    """The model in a file. `weights`: with those that are in files of their own. Raises UnusableGraph."""
    try:
        model = onnx.load(path, load_external_data=weights)
    except OSError as error:
        raise UnusableGraph(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # protobuf and onnx raise classes of their own
        raise UnusableGraph(f"{path} is not an ONNX model: {error}") from error
    if not model.graph.node:
        raise UnusableGraph(f"{path} is not an ONNX model: it has no graph")
    return model


def picture_input(model: onnx.ModelProto, inputs: list[Any], *, alone: bool = False) -> PictureInput:
    """The input for pictures among `inputs`. `alone`: it may lack the axis for a batch. Raises UnusableGraph."""
    for value in inputs:
        tensor = value.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim]
        single = alone and len(dims) == 3
        if single:
            dims = [1, *dims]
        if len(dims) != 4:
            continue
        layout = _layout(model.graph, value.name, dims)
        channels, height, width = dims[1:] if layout == "NCHW" else (dims[3], dims[1], dims[2])
        if channels not in (3, None):
            continue
        if tensor.elem_type not in _DTYPES:
            kind = TensorProto.DataType.Name(tensor.elem_type)
            raise UnusableGraph(
                f"the input {value.name!r} takes {kind}; export the model with float32, float16 or uint8"
            )
        size = (height, width) if height and width else None
        return PictureInput(value.name, layout, size, dims[0], _DTYPES[tensor.elem_type], single)
    shown = "; ".join(f"{i.name}: {_shape_text(i)}" for i in inputs) or "none"
    raise UnusableGraph(f"no input takes pictures, [n, 3, height, width] or [n, height, width, 3]; inputs: {shown}")


def _layout(graph: Any, name: str, dims: list[int | None]) -> Literal["NCHW", "NHWC"]:
    if dims[1] == 3 or dims[3] not in (3, None):
        return "NCHW"
    if dims[3] == 3:
        return "NHWC"
    turned = [n for n in graph.node if n.op_type == "Transpose" and name in n.input]
    return "NHWC" if any(list(attribute(n, "perm", [])) == [0, 3, 1, 2] for n in turned) else "NCHW"


def own_scaling(graph: Any, picture: str, constants: Mapping[str, Any]) -> float | None:
    """What to multiply pixels by for a graph that begins by scaling them; None for one that does not."""
    largest, value = 0.0, picture
    made = {n.output[0]: attribute(n, "value", None) for n in graph.node if n.op_type == "Constant"}
    while True:
        users = [n for n in graph.node if value in n.input and n.op_type != "Shape"]
        if len(users) != 1 or users[0].op_type not in _ARITHMETIC | _PLAIN:
            break
        if users[0].op_type in _ARITHMETIC:
            other = next((i for i in users[0].input if i != value), "")
            tensor = constants.get(other, made.get(other))
            if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
                break
            largest = max(largest, float(abs(numpy_helper.to_array(tensor)).max()))
        value = users[0].output[0]
    if not largest:
        return None
    return 1.0 if largest > _BYTE_RANGE else 1 / 255


def attribute(node: Any, name: str, missing: Any) -> Any:
    """The value of a node's attribute, or `missing`."""
    found = next((a for a in node.attribute if a.name == name), None)
    return missing if found is None else onnx.helper.get_attribute_value(found)


def graph_names(graph: Any) -> str:
    """All names of weights, nodes and outputs, in lower case, one a line."""

    def each() -> Iterator[str]:
        yield graph.name
        yield from (t.name for t in graph.initializer)
        yield from (n.name for n in graph.node)
        yield from (o.name for o in graph.output)

    return "\n".join(each()).lower()


def _shape_text(value: Any) -> str:
    tensor = value.type.tensor_type
    return f"[{', '.join(d.dim_param or str(d.dim_value or '?') for d in tensor.shape.dim)}]"
