"""The unchanged clients of npm call a real server: `openai`, and `@connectrpc/connect` in both of its formats."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2

from service.calls.methods import METHODS
from tests.support.data.pictures import encode, noise
from tests.support.needs import missing
from tests.support.servers.server import Server

NPM = Path(__file__).with_name("npm")
_REMEDY = "apt-get install nodejs npm, version 20 or later, and a package registry"


def descriptors() -> bytes:
    """The files of the API and of the details of its errors, those that others import first."""
    found: dict[str, Any] = {}

    def add(file: Any) -> None:
        for needed in file.dependencies:
            add(needed)
        found.setdefault(file.name, file)

    for method in METHODS.values():
        add(method.request.DESCRIPTOR.file)
    add(error_details_pb2.DESCRIPTOR)
    made = descriptor_pb2.FileDescriptorSet()
    for file in found.values():
        file.CopyToProto(made.file.add())
    for file in made.file:
        for message in file.message_type:
            name_in_json(message)
    return made.SerializeToString()


def name_in_json(message: descriptor_pb2.DescriptorProto) -> None:
    """Adds the names of fields in JSON, which protoc writes and Python leaves out."""
    for field in message.field:
        first, *others = field.name.split("_")
        field.json_name = first + "".join(part.capitalize() for part in others)
    for inner in message.nested_type:
        name_in_json(inner)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with the clients, as the lock file says."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("node with npm", _REMEDY)
    folder = tmp_path / "npm"
    shutil.copytree(NPM, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if made.returncode != 0:
        missing(f"a registry for npm ({made.stderr.strip()[:200]})", _REMEDY)
    return folder


@pytest.mark.long
def test_connect_and_openai_from_npm_work_unchanged(
    server: Server, tenant_name: str, installed: Path, tmp_path: Path
) -> None:
    picture = encode(noise(1), "JPEG")
    for name, content in (("api.binpb", descriptors()), ("1.jpg", picture), ("cut.jpg", picture[:300])):
        (tmp_path / name).write_bytes(content)
    files = [str(tmp_path / name) for name in ("api.binpb", "1.jpg", "cut.jpg")]
    command = ["node", "clients.mjs", f"http://{server.http}", server.key(tenant_name), *files]
    ran = subprocess.run(command, cwd=installed, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-2000:]
    said = json.loads(ran.stdout)
    for form in ("binary", "json"):
        refused = {"code": "NotFound", "reason": "COLLECTION_NOT_FOUND"}
        assert said[form]["refused"] == refused
        assert (said[form]["hits"], said[form]["color"]) == (["1"], "red")
        assert said[form]["late"] in ("DeadlineExceeded", "in time")
    openai = said["openai"]
    assert openai["one"] == openai["models"][0]
    assert openai["missing"] == {"status": 404, "code": "MODEL_NOT_FOUND", "param": "model"}
    assert (openai["damaged"]["status"], openai["damaged"]["param"]) == (400, "input[1]")
    assert openai["text"]["status"] == 400
    with server.client(server.key(tenant_name)) as client:
        (expected,) = client.encode([picture])
    for vector in openai["vectors"]:
        np.testing.assert_allclose(vector, np.frombuffer(expected.vector, "<f4"), atol=1e-5)
