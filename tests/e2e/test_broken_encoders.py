"""Unusable and failing encoders: errors are reported completely."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from afterimage.client import FailedPrecondition, NewRecord
from service.encoder.manifest import model_digest
from service.encoder.registry import BUILTIN_FOLDER
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell


def picture(brightness: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (brightness,) * 3).save(out, "PNG")
    return out.getvalue()


def fails_on_bright_pictures(folder: Path) -> None:
    """A model that uses the brightest value as an index: it has ten entries, and there are 255 values."""
    folder.mkdir(parents=True)
    table = np.random.default_rng(1).standard_normal((10, 4)).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMax", ["x", "axes"], ["brightest"], keepdims=0),
        helper.make_node("Cast", ["brightest"], ["row"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "row"], ["vector"], axis=0),
    ]
    graph = helper.make_graph(
        nodes, "flaky",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1, 2, 3]), "axes")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.save(model, folder / "model.onnx")
    describe(folder, {
        "id": "flaky", "version": "1", "license": "Apache-2.0", "model": "model.onnx",
        "input": {"name": "x", "size": [16, 16], "layout": "NCHW", "color": "RGB", "dtype": "float32",
                  "resize": "stretch", "scale": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]},
        "output": {"name": "vector", "dimension": 4},
    })  # fmt: skip


def cut_short(folder: Path) -> None:
    """The truncated built-in encoder, under a correct checksum."""
    shutil.copytree(BUILTIN_FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__", "generator", "train"))
    described = json.loads((folder / "encoder.json").read_text())
    model = folder / described["model"]
    content = model.read_bytes()
    model.write_bytes(content[: len(content) // 2])
    describe(folder, {**described, "id": "cut"})


def describe(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "encoder.json").write_text(
        json.dumps({**manifest, "sha256": model_digest(folder / manifest["model"])})
    )  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    encoders = tmp_path / "encoders"
    fails_on_bright_pictures(encoders / "flaky")
    cut_short(encoders / "cut")
    (encoders / "forgotten").mkdir()
    running = start_server(tmp_path, "--encoders-dir", str(encoders))
    yield running
    assert running.stop() == 0


def test_what_encoders_cannot_do_is_said_and_is_in_the_log(server: Server, tmp_path: Path) -> None:
    shell = Shell(server, "acme", tmp_path / "state")
    with server.client(shell.environment["AFTERIMAGE_API_KEY"]) as client:
        with pytest.raises(FailedPrecondition, match="encoder cut: ONNX Runtime cannot load the model") as caught:
            client.create_collection("c", encoder_id="cut")
        assert caught.value.reason == "ENCODER_UNUSABLE"
        assert list(client.collections()) == []
        client.create_collection("c", encoder_id="flaky")
        [dark] = client.insert("c", [NewRecord("dark", image=picture(3))])
        assert dark.outcome == "created"
        [bright] = client.insert("c", [NewRecord("bright", image=picture(255))])
        assert bright.error is not None
        assert bright.error.reason == "ENCODER_FAILED"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "white.png").write_bytes(picture(254))
    assert "ENCODER_FAILED" in shell.run("insert", "c", str(tmp_path / "photos"), code=3)
    searched = shell.done("search", "c", str(tmp_path / "photos" / "white.png"))
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    internal = [line for line in lines if line["event"] == "internal error"]
    assert [line.get("record_id") for line in internal] == ["bright", "white", None]
    assert all(line["request_id"] and line["reason"] == "ENCODER_FAILED" for line in internal)
    assert bright.error.message.endswith(f"search the server's log for it under request id {internal[0]['request_id']}")
    assert (searched.returncode, searched.stderr.count("\n")) == (1, 1)
    assert f"(request id {internal[2]['request_id']})" in searched.stderr
    assert any("forgotten, which has no encoder.json" in line["event"] for line in lines)
