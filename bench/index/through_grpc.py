"""This index through gRPC: a real server in its own process, the real client, ids and attributes in the answer.

Client, server and index share the machine's cores.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from afterimage.client import Client, NewRecord, Term
from bench.index.vectors import Vectors
from bench.index.workload import Condition, K, Workload
from examples.demo import AFTERIMAGE, running_server
from service.encoder.manifest import model_digest

SIDE = 8


class ThroughGrpc:
    """One collection on one server, which chooses the search effort itself."""

    efforts = (0,)
    filters = True
    note = "one caller through gRPC; durable (fsync for each batch), encrypted; ids and attributes resolved"

    def __init__(self, work: Workload, folder: Path) -> None:
        self._work, self._open = work, contextlib.ExitStack()
        folder.mkdir(parents=True)
        os.environ["AFTERIMAGE_ENCODERS_DIR"] = str(encoder_of(folder / "encoders", work.dimension))
        target, _ = self._open.enter_context(running_server(folder, "127.0.0.1:0", "127.0.0.1:0"))
        self._client = self._open.enter_context(Client(target, _key(folder), timeout_s=3600.0))
        self._client.create_collection("bench", encoder_id="bench")
        self._client.update_collection("bench", learning="off")

    def insert(self) -> None:
        assert all(r.error is None for r in self._client.import_records("bench", self._records()))

    def build(self) -> None:
        self._client.rebuild_index("bench")

    def search(self, query: Vectors, effort: int, condition: Condition | None) -> list[int]:
        found = self._client.search(
            "bench", Term(vector=query.tobytes()), k=K, filter=condition.text if condition else ""
        )
        return [int(i) for i, _ in ((h.record_id, h.attributes) for h in found.hits)]

    def close(self) -> None:
        self._open.close()

    def _records(self) -> Iterator[NewRecord]:
        for row in range(self._work.rows):
            vector = np.ascontiguousarray(self._work.vectors[row]).tobytes()
            yield NewRecord(str(row), vector=vector, product_id=f"p{row // 4}", attributes=self._work.payload(row))


def encoder_of(folder: Path, dimension: int) -> Path:
    """An encoders directory with a model of the given dimension. No picture is encoded."""
    inside = folder / "bench"
    inside.mkdir(parents=True)
    pixels = SIDE * SIDE * 3
    weights = np.random.default_rng(0).standard_normal((pixels, dimension)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["pixels"], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["out"])],
        "bench", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", dimension])],
        [numpy_helper.from_array(weights, "weights")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), inside / "m.onnx")
    manifest = {
        "id": "bench", "version": "1", "license": "none", "model": "m.onnx", "sha256": model_digest(inside / "m.onnx"),
        "input": {"name": "pixels", "size": [SIDE, SIDE]}, "output": {"name": "out", "dimension": dimension},
    }  # fmt: skip
    (inside / "encoder.json").write_text(json.dumps(manifest))
    return folder


def _key(folder: Path) -> str:
    data = ["--data-dir", str(folder / "data"), "--json"]
    scopes = ["--scopes", "search,insert,admin"]
    subprocess.run([*AFTERIMAGE, "tenants", "create", "bench", *data], check=True, capture_output=True)
    made = subprocess.run(
        [*AFTERIMAGE, "keys", "create", "bench", *scopes, *data], check=True, capture_output=True, text=True
    )
    key: str = json.loads(made.stdout)["api_key"]
    return key
