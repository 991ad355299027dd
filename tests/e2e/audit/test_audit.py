"""The audit log of a tenant, which the tenant reads and verifies itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from afterimage.client import Client, NewRecord, NewSource, PermissionDenied, audit_acts
from index import DataDirectory
from service.audit.logs import AuditLogs
from service.composition.data_directory import open_registry
from service.config import load_settings
from service.tenancy.apikeys import Scope
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell
from tests.support.servers.shop import FETCHING, Shop


def actions(client: Client) -> list[str]:
    return [a.action for a in audit_acts(client.list_audit_entries(0, 1000))]


def test_what_is_done_is_reported_with_who_and_how_much_and_without_ids(server: Server, client: Client) -> None:
    client.create_collection("shoes")
    client.insert("shoes", [NewRecord(f"secret-{n}", image=png(n)) for n in range(3)])
    client.search("shoes", png(1))
    client.get_records("shoes", ["secret-1"])
    client.search("shoes", png(1), k=2, include_vectors=True)
    client.get_records("shoes", ["secret-1"], include_vectors=True)
    client.list_records_page("shoes", include_vectors=True)
    client.encode([png(1)])
    snapshot = client.create_snapshot("shoes")
    client.delete_records("shoes", record_ids=["secret-1"])  # only says what would be deleted
    client.delete_records("shoes", record_ids=["secret-1"], force=True)
    client.restore_snapshot("shoes", snapshot.snapshot_id, target="again")
    client.exchange_collections("shoes", "again")
    client.delete_snapshot("again", snapshot.snapshot_id)
    client.delete_collection("again", force=True)
    entries = client.list_audit_entries(0, 1000)
    found = audit_acts(entries)
    written = found.pop(1)
    assert (written.action, written.outcome, written.details) == ("records.write", "open", {"collection": "shoes"})
    assert {a.outcome for a in found} == {"done"}
    assert [e.action for e in found] == [
        "collection.create", "vectors.return", "vectors.return", "vectors.return", "vectors.return", "snapshot.create",
        "records.delete", "snapshot.restore", "collections.exchange", "snapshot.delete", "collection.delete",
    ]  # fmt: skip
    assert {e.actor for e in found} == {f"key:{key_id(client)}"}
    assert found[1].details == {"collection": "shoes", "vectors": 2}
    assert found[6].details == {"collection": "shoes", "records": 1}
    assert "secret" not in json.dumps([e.details for e in entries])


def key_id(client: Client) -> str:
    return client._endpoint.api_key.split("_")[2]


def test_only_a_key_with_the_scope_reads_the_log_and_only_its_own(server: Server, tenant_name: str) -> None:
    others = [s for s in Scope if s is not Scope.AUDIT]
    with server.client(server.key(tenant_name, others)) as client:
        client.create_collection("c")
        for call in (client.list_audit_entries, client.audit_head):
            with pytest.raises(PermissionDenied):
                call()
    with server.client(server.key(tenant_name, [Scope.AUDIT])) as reader:
        assert actions(reader) == ["collection.create"]
    with server.client(server.key("somebody-else", [Scope.AUDIT])) as stranger:
        assert "collection.create" not in actions(stranger)


def test_the_log_is_exported_verified_and_compared_with_what_was_kept(
    server: Server, client: Client, tenant_name: str, tmp_path: Path
) -> None:
    shell = Shell(server, tenant_name, tmp_path)
    client.create_collection("one")
    kept = tmp_path / "kept.jsonl"
    first = shell.json("audit", "export", str(kept))
    client.create_collection("two")
    made = shell.json("keys", "create", tenant_name, "--scopes", "search", *shell.data)["api_key"]
    shell.run("keys", "revoke", tenant_name, made, *shell.data)
    shell.run("tenants", "limits", tenant_name, "--records", "9", *shell.data)
    assert shell.json("audit", "verify", "--kept", str(kept))["problems"] == []
    assert shell.json("audit", "check", str(kept))["entries"] == first["entries"]
    listed = shell.json("audit", "list", "--last", "3")["acts"]
    assert [(e["actor"], e["action"]) for e in listed] == [
        ("operator", "key.create"), ("operator", "key.revoke"), ("operator", "tenant.limits"),
    ]  # fmt: skip
    assert listed[1]["details"] == {"key": made.split("_")[2]}
    assert "tenant.limits" in shell.run("audit", "list")

    lines = kept.read_text().splitlines()
    changed = json.loads(lines[0])
    changed["actor"] = "nobody"
    kept.write_text("\n".join([json.dumps(changed), *lines[1:]]) + "\n")
    assert shell.json("audit", "check", str(kept), code=1)["problems"]
    kept.write_text("\n".join(lines[:1]))
    assert shell.json("audit", "check", str(kept), code=1)["error"]["reason"] == "FILE_INVALID"


def test_a_log_that_its_operator_wrote_anew_does_not_fit_what_was_kept(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    shell = Shell(server, "acme", tmp_path / "state")
    kept = tmp_path / "kept.jsonl"
    with server.client(shell.environment["AFTERIMAGE_API_KEY"]) as client:
        client.create_collection("one")
    shell.run("audit", "export", str(kept))
    assert server.stop() == 0
    settings = load_settings({"data_dir": server.data_dir}).settings
    registry = open_registry(settings)
    uid = registry.tenant("acme").uid
    logs = AuditLogs(DataDirectory(server.data_dir), registry)  # the operator has every key
    database = logs.of(uid)._chain.connection
    for statement in (
        "DROP TRIGGER no_delete",
        *(f"DELETE FROM {table}" for table in ("entries", "head", "open_acts")),
    ):
        database.execute(statement)
    logs.add(uid, "server", "nothing.happened", {})
    logs.close()
    registry.close()
    again = start_server(tmp_path)
    shell.environment["AFTERIMAGE_TARGET"] = again.target
    assert shell.json("audit", "verify")["problems"] == []
    found = shell.json("audit", "verify", "--kept", str(kept), code=1)["problems"]
    assert found == ["entry 1 is missing, or differs from the stored one"]
    assert again.stop() == 0


def test_a_sync_that_changes_something_is_reported(tmp_path: Path, shop: Shop) -> None:
    server = start_server(tmp_path, environment=FETCHING)
    shop.pictures |= {"/1.png": png(1), "/feed": jsonl([{"id": "1", "image_link": f"{shop.address}/1.png"}])}
    with server.client(server.key("acme")) as client:
        client.create_collection("c")
        client.create_source(NewSource("feed", "c", f"{shop.address}/feed"))
        run = list(client.watch_run(client.start_run("feed").run_id))[-1]
        list(client.watch_run(client.start_run("feed").run_id))  # nothing has changed
        found = audit_acts(client.list_audit_entries())
        assert [e.action for e in found] == ["collection.create", "source.create", "run.start", "run.end", "run.start"]
        assert (found[3].actor, found[3].details["run"], found[3].details["created"]) == ("server", run.run_id, 1)
    assert server.stop() == 0


def test_what_was_acknowledged_is_in_the_log_after_a_kill(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    key = server.key("acme")
    with server.client(key) as client:
        for number in range(5):
            client.create_collection(f"c{number}")
        server.kill()
    again = start_server(tmp_path)
    with again.client(key) as client:
        assert actions(client) == ["collection.create"] * 5
    assert again.stop() == 0
