"""A tenant bound to a region is served only there."""

import json
from pathlib import Path

import pytest

from afterimage.client import FailedPrecondition, NewSource
from index import DataDirectory
from service.composition.data_directory import write_region
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell


def test_a_tenant_is_served_in_its_region_alone(tmp_path: Path) -> None:
    here = {"AFTERIMAGE_REGION": "eu-1"}
    server = start_server(tmp_path, environment=here)
    shell = Shell(server, "free", tmp_path / "state")
    assert shell.json("tenants", "create", "bound", "--region", "eu-1", *shell.data)["region"] == "eu-1"
    assert shell.json("tenants", "create", "wrong", "--region", "EU 1", *shell.data, code=1)["error"]
    bound, free = server.key("bound"), server.key("free")
    with server.client(bound) as client:
        client.create_collection("c")
        client.create_source(NewSource("feed", "c", "https://shop.example/feed", paused=True))
    snapshot = snapshot_of(server, bound)
    assert json.loads((snapshot / "manifest.json").read_text())["region"] == "eu-1"
    assert server.stop() == 0
    for elsewhere in ({"AFTERIMAGE_REGION": "us-1"}, {}):
        other = start_server(tmp_path, environment=elsewhere)
        with other.client(bound) as refused, other.client(free) as served:
            for attempt in (refused.server_info, lambda: refused.get_collection("c"), refused.audit_head):
                with pytest.raises(FailedPrecondition, match="eu-1") as caught:
                    attempt()
                assert caught.value.reason == "REGION_MISMATCH"
            served.server_info()
        assert other.stop() == 0
    shell.run("tenants", "export-key", "bound", str(tmp_path / "key"), *shell.data)
    adopt = [
        "snapshots",
        "adopt",
        str(snapshot),
        "--tenant-key-file",
        str(tmp_path / "key"),
        "--tenant",
        "free",
        "--as",
        "x",
    ]
    write_region(DataDirectory(server.data_dir), "us-1")  # as a server does that starts there
    shell.environment["AFTERIMAGE_REGION"] = "eu-1"
    assert shell.json(*adopt, *shell.data, code=1)["error"]["reason"] == "REGION_MISMATCH"
    write_region(DataDirectory(server.data_dir), "eu-1")
    shell.environment["AFTERIMAGE_REGION"] = "us-1"
    shell.json(*adopt, *shell.data)


def test_a_tenant_is_stamped_with_the_region_of_the_directorys_server(tmp_path: Path) -> None:
    before = Shell(None, "", tmp_path / "state", data_dir=tmp_path / "data")
    before.environment["AFTERIMAGE_REGION"] = "ap-1"
    assert before.json("tenants", "create", "early", *before.data)["region"] == "ap-1"  # no server has run yet
    server = start_server(tmp_path, environment={"AFTERIMAGE_REGION": "eu-1"})
    shell = Shell(server, "acme", tmp_path / "state")
    shell.environment["AFTERIMAGE_REGION"] = "us-1"
    assert shell.json("tenants", "create", "of-server", *shell.data)["region"] == "eu-1"
    assert shell.json("tenants", "create", "asked", "--region", "us-2", *shell.data)["region"] == "us-2"


def snapshot_of(server: Server, key: str) -> Path:
    with server.client(key) as client:
        made = client.create_snapshot("c")
    return next(server.data_dir.rglob(f"kept-{made.snapshot_id}"))
