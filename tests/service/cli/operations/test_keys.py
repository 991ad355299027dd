"""`afterimage keys`, and the commands that need a whole data directory."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path

from afterimage.client import NewRecord
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell


def test_a_key_is_made_listed_rotated_and_revoked(server: Server, tenant_name: str, tmp_path: Path) -> None:
    shell = Shell(server, tenant_name, tmp_path)
    old = shell.json("keys", "create", tenant_name, "--scopes", "search", "--expires-in", "90d", *shell.data)["api_key"]
    with server.client(old) as client:
        client.server_info()
    new = shell.json("keys", "rotate", tenant_name, old, "--grace", "12h", *shell.data)["api_key"]
    with server.client(old) as first, server.client(new) as second:
        assert (first.server_info().scopes, second.server_info().scopes) == (("search",), ("search",))
    assert "live" in shell.run("keys", "list", tenant_name, *shell.data)
    shell.run("keys", "revoke", tenant_name, new, *shell.data)
    states = {k["key_id"]: k["state"] for k in shell.json("keys", "list", tenant_name, *shell.data)["keys"]}
    assert (states[old.split("_")[2]], states[new.split("_")[2]]) == ("live", "revoked")
    assert shell.json("keys", "rotate", tenant_name, new, *shell.data, code=1)["error"]
    assert shell.json("keys", "create", tenant_name, "--expires-in", "soon", *shell.data, code=2)["error"]


def test_a_data_directory_gets_a_new_master_key(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    shell, key = Shell(server, "acme", tmp_path / "state"), server.key("acme")
    with server.client(key) as client:
        client.create_collection("c")
        client.insert("c", [NewRecord("1", image=png(1))])
    refused = shell.json("keys", "rewrap", *shell.data, code=1)
    assert "in use" in refused["error"]["message"]
    assert server.stop() == 0
    before = (tmp_path / "data.master-key").read_text()
    assert shell.json("keys", "rewrap", *shell.data)["keys"] >= 3
    assert (tmp_path / "data.master-key").read_text() != before
    again = start_server(tmp_path)
    with again.client(key) as client:
        assert client.search("c", png(1)).hits[0].record_id == "1"
        assert "collection.create" in [e.action for e in client.list_audit_entries()]
    assert again.stop() == 0


def test_a_master_key_from_a_command_is_exchanged_for_one_that_is_given(tmp_path: Path) -> None:
    kept, data = tmp_path / "kms", ["--data-dir", str(tmp_path / "data")]
    kept.write_text(base64.b64encode(bytes(range(32))).decode())
    shell = Shell(None, "", tmp_path / "state", data_dir=tmp_path / "data")
    shell.environment["AFTERIMAGE_MASTER_KEY_COMMAND"] = shlex.join(["cat", str(kept)])

    def code(*arguments: str) -> int:
        return shell.done(*arguments, *data).returncode

    assert code("tenants", "create", "acme") == 0
    assert not (tmp_path / "data.master-key").exists()
    fresh = tmp_path / "fresh"
    fresh.write_text(base64.b64encode(bytes(range(1, 33))).decode())
    fresh.chmod(0o600)
    assert code("keys", "rewrap") == 2  # which key, it asks
    assert code("keys", "rewrap", "--new-key-file", str(fresh)) == 0
    assert code("keys", "create", "acme") == 1  # the command still prints the old key
    kept.write_text(fresh.read_text())
    assert code("keys", "create", "acme") == 0
