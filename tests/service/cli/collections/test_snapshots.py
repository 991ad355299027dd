"""Snapshots, the index, and Parquet files, from the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from afterimage.client import Client, NewRecord, Term
from tests.support.data.files import flip_byte
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell

DIMENSION = 384


def vectors(count: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def fill(client: Client, name: str, count: int = 120) -> np.ndarray:
    client.create_collection(name)
    made = vectors(count)
    records = (
        NewRecord(str(n), vector=v.tolist(), product_id=f"p{n % 9}", attributes={"n": n, "tags": ["a"], "sale": n < 5})
        for n, v in enumerate(made)
    )
    assert all(r.outcome == "created" for r in client.import_records(name, records))
    return made


def test_a_snapshot_from_its_making_to_its_deletion(shell: Shell, client: Client) -> None:
    fill(client, "shop")
    made = shell.json("snapshots", "create", "shop")
    assert made["record_count"] == 120
    client.delete_records("shop", ["3"], force=True)
    name = made["snapshot_id"]
    assert [s["snapshot_id"] for s in shell.json("snapshots", "list", "shop")["snapshots"]] == [name]
    assert shell.json("snapshots", "verify", "shop", name) == {"whole": True, "problems": []}
    assert shell.json("snapshots", "restore", "shop", name, code=1)["error"]["reason"] == "COLLECTION_EXISTS"
    restored = shell.json("snapshots", "restore", "shop", name, "--as", "shop-2")
    assert restored["collection"] == "shop-2"
    assert "is intact" in shell.run("index", "verify", "shop-2")
    assert shell.json("snapshots", "restore", "shop", name, "--replace")["collection"] == "shop"
    assert name in shell.run("snapshots", "list", "shop")
    shell.run("snapshots", "delete", "shop", name)
    assert shell.json("snapshots", "verify", "shop", name, code=1)["error"]["reason"] == "SNAPSHOT_NOT_FOUND"


def test_damage_is_reported_with_an_exit_code_that_says_so(server: Server, shell: Shell, client: Client) -> None:
    fill(client, "shop")
    name = shell.json("snapshots", "create", "shop")["snapshot_id"]
    flip_byte(next(server.data_dir.rglob(f"kept-{name}")) / "records.db", 9000)
    told = shell.json("snapshots", "verify", "shop", name, code=1)
    assert (told["whole"], len(told["problems"])) == (False, 1)
    assert "records.db" in shell.run("snapshots", "verify", "shop", name, code=1)
    refused = shell.json("snapshots", "restore", "shop", name, "--as", "x", code=1)
    assert refused["error"]["reason"] == "SNAPSHOT_DAMAGED"


def test_the_index_is_shown_rebuilt_and_verified(shell: Shell, client: Client) -> None:
    made = fill(client, "shop", 2000)
    assert shell.json("index", "stats", "shop")["base_rows"] == 0
    assert shell.json("index", "rebuild", "shop") == {"collection": "shop", "built": True}
    stats = shell.json("index", "stats", "shop")
    assert stats["base_rows"] == 2000
    assert 0.98 < stats["recall"] <= 1
    assert shell.json("index", "verify", "shop") == {"whole": True, "problems": []}
    assert client.search("shop", Term(vector=made[17].tolist()), k=1).hits[0].record_id == "17"
    client.create_collection("empty")
    assert not shell.json("index", "rebuild", "empty")["built"]


def test_snapshots_outlive_their_collection_unless_it_is_deleted_with_them(shell: Shell, client: Client) -> None:
    for name in ("one", "two"):
        client.create_collection(name)
        shell.json("snapshots", "create", name)
    told = shell.json("collections", "delete", "one")
    assert (told["snapshot_count"], told["with_snapshots"], told["deleted"]) == (1, False, False)
    assert shell.json("collections", "delete", "one", "--force")["deleted"]
    assert len(shell.json("snapshots", "list", "one")["snapshots"]) == 1
    assert shell.json("collections", "delete", "two", "--force", "--with-snapshots")["snapshot_count"] == 1
    assert shell.json("snapshots", "list", "two", code=1)["error"]["reason"] == "COLLECTION_NOT_FOUND"


def test_what_is_exported_and_imported_is_the_same_and_a_tool_reads_the_file(
    shell: Shell, client: Client, tmp_path: Path
) -> None:
    made = fill(client, "shop")
    file = tmp_path / "shop.parquet"
    assert shell.json("export", "shop", str(file))["records"] == 120
    assert file.stat().st_mode & 0o077 == 0
    assert "--force" in shell.json("export", "shop", str(file), code=2)["error"]["message"]
    table = pq.read_table(file)
    assert table.num_rows == 120
    order = np.array(table["record_id"].to_pylist(), np.int64)  # batches of one import may change places
    assert np.allclose(np.stack(table["vector"].to_numpy()), made[order], atol=1e-6)
    card = json.loads(table.schema.metadata[b"afterimage"])
    assert (card["encoder_id"], card["dimension"], card["format"]) == ("builtin", DIMENSION, 1)
    assert shell.json("import", "copy", str(file)) == {"total": 120, "created": 120, "failures": []}
    originals, copies = ({r.record_id: r for r in client.records(c, include_vectors=True)} for c in ("shop", "copy"))
    for record_id, record in originals.items():
        copy = copies[record_id]
        assert (copy.attributes, copy.product_id) == (record.attributes, record.product_id)
        assert np.allclose(np.frombuffer(copy.vector, "<f4"), np.frombuffer(record.vector, "<f4"), atol=1e-6)
    assert shell.json("import", "copy", str(file))["unchanged"] == 120
    assert shell.json("export", "shop", str(tmp_path / "few.parquet"), "--filter", "n < 5")["records"] == 5


def test_an_encrypted_export_tells_nothing_without_its_key(shell: Shell, client: Client, tmp_path: Path) -> None:
    client.create_collection("shop")
    client.insert("shop", [NewRecord("record-of-a-shop", vector=vectors(1)[0].tolist(), product_id="telling-product")])
    file, key = tmp_path / "shop.parquet", tmp_path / "shop.key"
    shell.json("export", "shop", str(file), "--key-file", str(key))
    assert key.stat().st_mode & 0o077 == 0
    assert not any(word in file.read_bytes() for word in (b"record-of-a-shop", b"telling-product", b"builtin"))
    assert shell.json("import", "copy", str(file), "--key-file", str(key))["created"] == 1
    assert shell.json("import", "copy", str(file), code=1)["error"]["reason"] == "KEY_INVALID"
    shell.json("export", "shop", str(tmp_path / "other.parquet"), "--key-file", str(tmp_path / "other.key"))
    wrong = ["--key-file", str(tmp_path / "other.key")]
    assert shell.json("import", "copy", str(file), *wrong, code=1)["error"]["reason"] == "KEY_INVALID"
    flip_byte(file, 40)
    assert "error" in shell.json("import", "again", str(file), "--key-file", str(key), code=1)


def test_a_file_of_another_encoder_or_of_no_kind_is_refused(shell: Shell, client: Client, tmp_path: Path) -> None:
    fill(client, "shop", 10)
    file = tmp_path / "shop.parquet"
    shell.run("export", "shop", str(file))
    table = pq.read_table(file)
    card = {**json.loads(table.schema.metadata[b"afterimage"]), "encoder_fingerprint": "0" * 16}
    pq.write_table(table.replace_schema_metadata({b"afterimage": json.dumps(card).encode()}), file)
    assert shell.json("import", "shop", str(file), code=1)["error"]["reason"] == "ENCODER_DIFFERS"
    file.write_bytes(b"not parquet")
    assert shell.json("import", "shop", str(file), code=1)["error"]["reason"] == "FILE_INVALID"


def test_a_limit_is_set_shown_and_kept_by_a_running_server(
    server: Server, shell: Shell, client: Client, tenant_name: str
) -> None:
    client.create_collection("shop")
    assert shell.json("tenants", "limits", tenant_name, "--records", "3", *shell.data)["records"] == 3
    results = client.insert("shop", [NewRecord(str(n), vector=v.tolist()) for n, v in enumerate(vectors(5))])
    assert [r.outcome for r in results] == ["created"] * 3 + ["failed"] * 2
    assert results[4].error is not None
    assert results[4].error.reason == "QUOTA_EXCEEDED"
    usage = client.usage()
    assert (usage.record_count, usage.max_records) == (3, 3)
    assert usage.stored_bytes == 3 * (4 * DIMENSION + 3)


@pytest.mark.timeout(180)
def test_a_snapshot_goes_to_another_machine_and_not_back_to_where_its_tenant_was_deleted(tmp_path: Path) -> None:
    run = Shell(None, "", tmp_path / "state", data_dir=tmp_path / "none").json
    here = start_server(tmp_path / "here")
    with here.client(here.key("acme")) as client:
        made = fill(client, "shop")
        name = client.create_snapshot("shop").snapshot_id
    data = ["--data-dir", str(here.data_dir)]
    folder = tmp_path / f"kept-{name}"
    shutil.copytree(next(here.data_dir.rglob(f"kept-{name}")), folder)
    run("tenants", "export-key", "acme", str(tmp_path / "acme.key"), *data)
    assert (tmp_path / "acme.key").stat().st_mode & 0o077 == 0
    run("tenants", "delete", "acme", "--force", *data)
    assert here.stop() == 0
    run("tenants", "create", "again", *data)
    adopt = ["snapshots", "adopt", str(folder), "--tenant-key-file", str(tmp_path / "acme.key")]
    refused = run(*adopt, "--tenant", "again", *data, code=1)
    assert "cannot be adopted" in refused["error"]["message"]

    there = start_server(tmp_path / "there")
    key, data = there.key("acme"), ["--data-dir", str(there.data_dir)]
    assert "in use" in run(*adopt, "--tenant", "acme", *data, code=1)["error"]["message"]
    assert there.stop() == 0
    wrong = run(*adopt, "--tenant", "acme", *data, code=1)
    assert "master key" in wrong["error"]["message"]
    master = ["--source-key-file", str(here.data_dir) + ".master-key"]
    taken = run(*adopt, "--tenant", "acme", "--as", "moved", *master, *data)
    assert taken == {"collection": "moved", "record_count": 120}
    there = start_server(tmp_path / "there")
    with there.client(key) as client:
        assert client.search("moved", Term(vector=made[5].tolist()), k=1).hits[0].record_id == "5"
    assert there.stop() == 0
