"""Encoders without a model, for vectors that were made elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from afterimage.client import FailedPrecondition, NewRecord, Term
from service.encoder.manifest import read_manifest
from service.errors import SettingError
from tests.support.data.pictures import png
from tests.support.servers.server import start_server

MANIFEST = {"id": "elsewhere", "version": "1", "license": "-", "kind": "vectors", "output": {"dimension": 3}}


def written(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoder.json").write_text(json.dumps({**MANIFEST, **changes}))
    return folder


def test_each_id_and_version_has_a_fingerprint_of_its_own(tmp_path: Path) -> None:
    changes: tuple[dict[str, object], ...] = ({}, {"id": "other"}, {"version": "2"}, {"output": {"dimension": 4}})
    found = [read_manifest(written(tmp_path, **change)).fingerprint for change in changes]
    assert len(set(found)) == len(changes)
    assert read_manifest(written(tmp_path, description="x", license="y")).fingerprint == found[0]


@pytest.mark.parametrize(
    "change",
    [{"model": "model.onnx"}, {"sha256": "0" * 64}, {"input": {"name": "x", "size": [8, 8]}}, {"kind": "onnx"}],
    ids=str,
)
def test_a_model_belongs_to_the_kinds_that_have_one(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=r"has no|are required"):
        read_manifest(written(tmp_path, **change))


def test_collections_take_vectors_and_refuse_pictures_with_the_reason(tmp_path: Path) -> None:
    written(tmp_path / "encoders" / "elsewhere")
    server = start_server(tmp_path, "--encoders-dir", str(tmp_path / "encoders"))
    with server.client(server.key("acme")) as client:
        assert client.create_collection("shoes", encoder_id="elsewhere").dimension == 3
        vectors = {str(n): np.eye(3, dtype="<f4")[n].tobytes() for n in range(3)}
        results = client.insert("shoes", [NewRecord(i, vector=v) for i, v in vectors.items()])
        assert [r.error for r in results] == [None] * 3
        assert client.search("shoes", Term(vector=vectors["1"]), k=1).hits[0].record_id == "1"
        (refused,) = client.insert("shoes", [NewRecord("4", image=png(1))])
        assert refused.error is not None
        assert refused.error.reason == "ENCODER_UNUSABLE"
        assert "take vectors, not pictures" in refused.error.message
        with pytest.raises(FailedPrecondition, match="take vectors, not pictures"):
            client.search("shoes", png(1))
        assert {e.id: e.takes_color for e in client.server_info().encoders} == {"builtin": True, "elsewhere": False}
        with pytest.raises(FailedPrecondition, match="no block named 'colour'") as caught:
            client.search("shoes", [Term(vector=vectors["1"]), Term(color="red")])
        assert caught.value.reason == "QUERY_UNSUPPORTED"
    assert '"level": "error"' not in server.log.read_text()
    assert server.stop() == 0
