"""Erased data is removed from the whole disk, decrypted, while the server runs; and there is a receipt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from afterimage.client import Client, NewRecord, NewSource, NotFound, Term
from index import DataDirectory
from service.erasure.traces import Evidence, FoundTrace, search
from tests.support.data.feeds import jsonl
from tests.support.data.files import all_bytes
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell
from tests.support.servers.shop import FETCHING, Shop

DIMENSION = 384


def searched(server: Server, tenant: str, evidence: Evidence) -> FoundTrace:
    with server.registry() as registry:
        uid = registry.tenant(tenant).uid
        return search(DataDirectory(server.data_dir).tenant(uid), registry.data_key(uid), evidence)


def seller(number: int) -> str:
    return f"seller-{number:04}-x"


def stock(client: Client, count: int) -> Evidence:
    """Records with recognisable ids, products and vectors, of which no two share bytes."""
    vectors = np.random.default_rng(7).standard_normal((count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"record-{n:04}-of-erasure" for n in range(count)]
    results = client.import_records(
        "c",
        [
            NewRecord(
                i, vector=v.tolist(), product_id=f"product-{n // 2:04}", attributes={"seller": f"seller-{n:04}-x"}
            )
            for n, (i, v) in enumerate(zip(ids, vectors, strict=True))
        ],
    )
    assert all(r.error is None for r in results)
    return Evidence([*ids, *map(seller, range(count))], vectors)


def test_a_thousand_erased_records_are_nowhere_and_the_others_are_there(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    with server.client(server.key("acme")) as client:
        client.create_collection("c")
        evidence = stock(client, 1200)
        snapshot = client.create_snapshot("c")
        gone = Evidence([*evidence.strings[:1000], *evidence.strings[1200:2200]], evidence.vectors[:1000])
        left = Evidence(evidence.strings[1000:1200], evidence.vectors[1000:])
        before = searched(server, "acme", gone)
        assert len(before.traces) > 5000  # it finds what is there
        receipt = client.erase_records("c", record_ids=evidence.strings[:1000])
        assert (receipt.records, receipt.snapshots) == (1000, (snapshot.snapshot_id,))
        after = searched(server, "acme", gone)
        assert after.traces == ()
        assert after.files >= 4
        assert len(searched(server, "acme", left).traces) > 200
        assert client.count_records("c") == 200
        assert all(s.encode() not in all_bytes(server.data_dir / "redis") for s in evidence.strings)
        with_vector = client.search("c", vector_of(evidence.vectors[0]), k=1).hits[0]
        assert with_vector.record_id not in evidence.strings[:1000]
    assert server.stop() == 0
    assert searched(server, "acme", gone).traces == ()


def vector_of(vector: np.ndarray) -> Term:
    return Term(vector=vector.tolist())


def test_a_product_is_erased_with_all_its_records_and_a_collection_with_all_its_files(
    server: Server, client: Client, tenant_name: str
) -> None:
    client.create_collection("c")
    evidence = stock(client, 20)
    assert client.erase_records("c", product_ids=["product-0003", "no-such-product"]).records == 2
    assert client.count_records("c") == 18
    assert client.get_records("c", evidence.strings[6:8])[0] == []
    assert client.erase_records("c", record_ids=evidence.strings[:3]).records == 3
    assert client.erase_records("c", record_ids=evidence.strings[:3]).records == 0
    receipt = client.erase_collection("c")
    assert (receipt.what, receipt.collection, receipt.records) == ("collection", "c", 15)
    assert searched(server, tenant_name, evidence).traces == ()
    with pytest.raises(NotFound):
        client.erase_collection("c")
    assert [e.details["records"] for e in client.list_audit_entries() if e.action == "erasure"] == [2, 3, 0, 15]


def test_what_a_sync_withdrew_failed_at_and_showed_is_erased_as_well(tmp_path: Path, shop: Shop) -> None:
    server = start_server(tmp_path, environment=FETCHING)
    ids = [f"item-{n}-of-a-shop" for n in range(6)]
    items = [{"id": i, "image_link": f"{shop.address}/{i}.png", "title": f"title of {i}"} for i in ids]
    shop.pictures |= {f"/{i}.png": png(n) for n, i in enumerate(ids[:5])}  # the last cannot be had
    with server.client(server.key("acme")) as client:
        client.create_collection("c")
        shop.pictures["/feed"] = jsonl(items)
        client.create_source(NewSource("feed", "c", f"{shop.address}/feed", max_delete_share=1.0))
        list(client.watch_run(client.start_run("feed").run_id))
        shop.pictures["/feed"] = jsonl(items[2:])
        list(client.watch_run(client.start_run("feed").run_id))  # two are withdrawn
        gone = Evidence([ids[0], ids[3], ids[5]], np.empty((0, DIMENSION), np.float32))
        assert {t.file.split("/")[-1] for t in searched(server, "acme", gone).traces} >= {"records.db", "sync.db"}
        assert client.erase_records("c", record_ids=[ids[0], ids[3], ids[5]]).records == 2
        assert searched(server, "acme", gone).traces == ()
    assert server.stop() == 0


def test_the_command_erases_certifies_and_verifies(
    server: Server, client: Client, tenant_name: str, tmp_path: Path
) -> None:
    shell = Shell(server, tenant_name, tmp_path)
    client.create_collection("c")
    evidence = stock(client, 10)
    receipt, kept = tmp_path / "receipt.json", tmp_path / "evidence.json"
    shell.run(
        "erase", "records", "c", "--record-id", evidence.strings[0], "--product-id", "product-0003",
        "--receipt", str(receipt), "--evidence", str(kept),
    )  # fmt: skip
    said = json.loads(kept.read_text())
    assert len(said["vectors"]) == 3
    verified = shell.json("erase", "verify", tenant_name, str(kept), *shell.data)
    assert (verified["traces"], verified["too_short"]) == ([], 0)
    about = ("--id", evidence.strings[0], "--id", "product-0003")
    assert shell.json("erase", "check", str(receipt), *about)["genuine"]
    assert not shell.json("erase", "check", str(receipt), "--id", "other", code=1)["genuine"]
    changed = {**json.loads(receipt.read_text()), "records": 4}
    receipt.write_text(json.dumps(changed))
    assert not shell.json("erase", "check", str(receipt), code=1)["genuine"]
    kept.write_text(json.dumps({**said, "strings": [evidence.strings[5], "x"]}))
    found = shell.json("erase", "verify", tenant_name, str(kept), *shell.data, code=1)
    assert found["traces"]
    assert found["too_short"] == 1


def test_a_tenant_is_erased_with_a_receipt_and_a_backup_yields_nothing(tmp_path: Path) -> None:
    import shutil

    server = start_server(tmp_path)
    shell = Shell(server, "acme", tmp_path / "state")
    with server.client(shell.environment["AFTERIMAGE_API_KEY"]) as client:
        client.create_collection("c")
        stock(client, 5)
    assert server.stop() == 0
    shutil.copytree(server.data_dir / "tenants", tmp_path / "backup")
    receipt = tmp_path / "receipt.json"
    told = shell.json("tenants", "delete", "acme", "--force", "--receipt", str(receipt), *shell.data)
    assert told["files_removed"]
    assert shell.json("erase", "check", str(receipt))["what"] == "tenant"
    uid = told["uid"]
    shutil.copytree(tmp_path / "backup" / uid, server.data_dir / "tenants" / uid)
    again = start_server(tmp_path)
    assert not (server.data_dir / "tenants" / uid).exists()  # it does not come back
    assert again.stop() == 0
