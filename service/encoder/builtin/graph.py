"""A small builder of ONNX graphs. Names follow the order of construction, so that equal code produces equal bytes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Precision = Literal["float32", "float16", "int8"]
OPSET = 18
_IR_VERSION = 9


class Graph:
    """Collects nodes and constants. Values are named by strings; [n, ...] is the batch axis."""

    def __init__(self, precision: Precision = "float32") -> None:
        """`precision`: of stored weights. Arithmetic is always float32."""
        self._precision = precision
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._tensors: list[onnx.TensorProto] = []

    def op(self, kind: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        """Adds a node with one output and returns its name."""
        name = output or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values: NDArray[np.generic], name: str = "") -> str:
        """A constant; equal ones are stored once."""
        values = np.ascontiguousarray(values)
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = name or f"c{len(self._constants)}"
            self._tensors.append(numpy_helper.from_array(values, self._constants[key]))
        return self._constants[key]

    def scalar(self, value: float) -> str:
        """A float32 constant without a shape."""
        return self.constant(np.array(value, np.float32))

    def weights(self, values: NDArray[np.float32], name: str) -> str:
        """Adds a learned matrix or kernel, stored in the precision of this graph.

        Matrices [in, out] and kernels [out, in, h, w] are scaled per output if they are stored as integers.
        """
        if self._precision == "float32":
            return self.constant(values, name)
        if self._precision == "float16":
            return self.op("Cast", [self.constant(values.astype(np.float16), name)], to=onnx.TensorProto.FLOAT)
        others = 0 if values.ndim == 2 else tuple(range(1, values.ndim))
        scale = np.maximum(np.abs(values).max(axis=others, keepdims=True), 1e-12).astype(np.float32) / np.float32(127)
        whole = self.constant(np.clip(np.rint(values / scale), -127, 127).astype(np.int8), name)
        # plain arithmetic, which the runtime evaluates once at loading, unlike DequantizeLinear
        return self.op(
            "Mul", [self.op("Cast", [whole], to=onnx.TensorProto.FLOAT), self.constant(scale, f"{name}_scale")]
        )

    def reshape(self, value: str, shape: list[int]) -> str:
        """Reshapes a value. 0 preserves an axis, -1 is inferred."""
        return self.op("Reshape", [value, self.constant(np.array(shape, np.int64))])

    def flat(self, value: str) -> str:
        """Reshapes [n, ...] to [n, features]."""
        return self.reshape(value, [0, -1])

    def column(self, plane: str) -> str:
        """Reshapes [n, 1, h, w] to [n, h * w, 1]."""
        return self.reshape(plane, [0, -1, 1])

    def slice(self, value: str, *, axis: int, start: int, end: int) -> str:
        """Part of one axis."""
        numbers = [self.constant(np.array([n], np.int64)) for n in (start, end, axis)]
        return self.op("Slice", [value, *numbers])

    def split_batch(self, value: str) -> tuple[str, str]:
        """The two halves of the batch axis."""
        halves = [f"half{len(self._nodes)}{side}" for side in "ab"]
        self._nodes.append(helper.make_node("Split", [value], halves, axis=0, num_outputs=2))
        return halves[0], halves[1]

    def average_pool(self, value: str, factor: int) -> str:
        """Means over squares of `factor` pixels."""
        return self.op("AveragePool", [value], kernel_shape=[factor, factor], strides=[factor, factor])

    def windows(self, value: str, size: int, step: int) -> str:
        """Means over overlapping squares of `size` pixels."""
        return self.op("AveragePool", [value], kernel_shape=[size, size], strides=[step, step])

    def mean(self, value: str) -> str:
        """Means of each channel: [n, c, h, w] to [n, c]."""
        return self.flat(self.op("GlobalAveragePool", [value]))

    def scaled(self, value: str, factor: float) -> str:
        """Multiplies a value by a number."""
        return value if factor == 1.0 else self.op("Mul", [value, self.scalar(factor)])

    def unit(self, value: str, output: str = "") -> str:
        """Normalises each row of [n, features] to length 1 (or 0)."""
        length = self.op("ReduceL2", [value, self.constant(np.array([1], np.int64))], keepdims=1)
        return self.op("Div", [value, self.op("Add", [length, self.scalar(1e-8)])], output=output)

    def signed_root(self, value: str) -> str:
        """sign(x) * sqrt(|x|): finer bins near 0."""
        return self.op("Mul", [self.op("Sign", [value]), self.op("Sqrt", [self.op("Abs", [value])])])

    def soft_bins(self, column: str, low: float, high: float, bins: int) -> str:
        """Converts [n, p, 1] to [n, p, bins]. Each value is shared between the two adjacent bins."""
        scaled = self.op("Mul", [self.op("Sub", [column, self.scalar(low)]), self.scalar((bins - 1) / (high - low))])
        inside = self.op("Clip", [scaled, self.scalar(0.0), self.scalar(float(bins - 1))])
        places = self.constant(np.arange(bins, dtype=np.float32))
        apart = self.op("Abs", [self.op("Sub", [inside, places])])
        return self.op("Relu", [self.op("Sub", [self.scalar(1.0), apart])])

    def model(
        self, name: str, source: onnx.ValueInfoProto, outputs: dict[str, tuple[str, list[int]]]
    ) -> onnx.ModelProto:
        """The finished, checked model. `outputs`: by name, the value and its shape without the batch axis."""
        results = []
        for output, (value, shape) in outputs.items():
            self.op("Identity", [value], output=output)
            results.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["n", *shape]))
        graph = helper.make_graph(self._nodes, name, [source], results, initializer=self._tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        model.producer_name = "afterimage"
        onnx.checker.check_model(model, full_check=True)
        return model
