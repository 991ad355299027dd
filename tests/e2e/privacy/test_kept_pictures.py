"""Stored pictures under their owner's policy: what is stored, who gets it, and that it is deleted in time."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from afterimage.client import (
    Client,
    FailedPrecondition,
    InvalidArgument,
    NewRecord,
    NotFound,
    PermissionDenied,
    Unavailable,
    audit_acts,
)
from index import DataDirectory
from service.erasure.traces import Evidence, search
from service.objects.sealed import SealedObjects
from service.objects.store import ObjectStore
from service.tenancy.apikeys import Scope
from tests.support.data.files import all_bytes, flip_byte
from tests.support.data.pictures import png
from tests.support.servers.s3 import s3
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell
from tests.support.servers.shop import FETCHING, Shop

COPY = "ENCRYPTED_COPY"


def fetched(url: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def within_s(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition becomes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class Copies:
    """The files of a tenant's copies."""

    def __init__(self, server: Server, tenant: str) -> None:
        with server.registry() as registry:
            self._folder = server.data_dir / "objects" / registry.tenant(tenant).uid

    def paths(self) -> list[Path]:
        return [p for p in self._folder.rglob("*") if p.is_file()]

    def __len__(self) -> int:
        return len(self.paths())


@pytest.fixture
def copies(server: Server, tenant_name: str, client: Client) -> Copies:
    return Copies(server, tenant_name)


def insert(client: Client, collection: str, record_id: str, picture: bytes) -> None:
    (result,) = client.insert(collection, [NewRecord(record_id, image=picture)])
    assert result.error is None


def test_a_copy_is_handed_out_as_it_was_sent_and_lies_on_the_disk_sealed(
    server: Server, client: Client, copies: Copies
) -> None:
    made = client.create_collection("copies", picture_policy=COPY)
    assert (made.picture_policy, made.policy_version) == (COPY, 1)
    insert(client, "copies", "1", png(1))
    link = client.picture_link("copies", "1", minutes=1)
    status, body, headers = fetched(link.url)
    assert (status, body) == (200, png(1))
    assert (headers["Content-Type"], headers["Cache-Control"]) == ("image/png", "private, no-store")
    assert link.expire_time is not None
    assert 0 < link.expire_time.timestamp() - time.time() <= 60
    assert png(1)[40:80] not in all_bytes(server.data_dir)
    assert len(copies) == 1


def test_links_to_many_pictures_come_in_order_with_one_entry_in_the_audit_log(client: Client) -> None:
    client.create_collection("many", picture_policy=COPY)
    for number in range(3):
        insert(client, "many", str(number), png(number))
    client.insert("many", [NewRecord("bare", vector=[1.0] * client.get_collection("many").dimension)])
    before = len(client.list_audit_entries(page_size=1000))
    found = client.picture_links("many", ["2", "bare", "none", "0", "2"], minutes=1)
    assert [link.record_id for link in found.links] == ["2", "bare", "none", "0", "2"]
    assert [link.error and link.error.reason for link in found.links] == [
        None, "PICTURE_NOT_FOUND", "RECORD_NOT_FOUND", None, None,
    ]  # fmt: skip
    assert [fetched(found.links[place].url)[1] for place in (0, 3)] == [png(2), png(0)]
    assert found.expire_time is not None
    assert 0 < found.expire_time.timestamp() - time.time() <= 60
    new = client.list_audit_entries(page_size=1000)[before:]
    assert [(e.action, e.details) for e in new] == [("picture.link", {"collection": "many", "links": 3})]
    for minutes, ids in ((61, ["0"]), (1, []), (1, ["0"] * 1001)):
        with pytest.raises(InvalidArgument):
            client.picture_links("many", ids, minutes=minutes)


def test_the_same_picture_is_kept_once_and_another_one_takes_its_place(client: Client, copies: Copies) -> None:
    client.create_collection("again", picture_policy=COPY)
    insert(client, "again", "1", png(1))
    first = client.picture_link("again", "1")
    insert(client, "again", "1", png(1))
    assert fetched(first.url)[0] == 200
    assert len(copies) == 1
    insert(client, "again", "1", png(2))
    assert fetched(first.url)[0] == 404
    assert fetched(client.picture_link("again", "1").url)[1] == png(2)
    assert within_s(10, lambda: len(copies) == 1)
    client.insert("again", [NewRecord("1", vector=[1.0] * client.get_collection("again").dimension)])
    with pytest.raises(NotFound, match="is not stored"):
        client.picture_link("again", "1")


def test_a_deleted_record_an_erased_one_and_a_deleted_collection_leave_no_copy(client: Client, copies: Copies) -> None:
    client.create_collection("gone", picture_policy=COPY)
    for number in range(4):
        insert(client, "gone", str(number), png(number))
    link = client.picture_link("gone", "1")
    client.erase_records("gone", record_ids=["1"])
    assert len(copies) == 3
    assert fetched(link.url)[0] == 404
    client.delete_records("gone", ["2"], force=True)
    assert within_s(10, lambda: len(copies) == 2)
    client.erase_collection("gone")
    assert len(copies) == 0


def test_a_stricter_policy_deletes_what_was_kept_with_a_receipt(client: Client, copies: Copies) -> None:
    client.create_collection("strict", picture_policy=COPY)
    insert(client, "strict", "1", png(1))
    insert(client, "strict", "2", png(2))
    snapshot = client.create_snapshot("strict")
    asked = client.set_picture_policy("strict", "DISCARD")
    assert (asked.changed, asked.copies, asked.policy, asked.receipt) == (False, 2, COPY, None)
    assert len(copies) == 2
    done = client.set_picture_policy("strict", "DISCARD", force=True)
    assert (done.changed, done.copies, done.policy, done.policy_version) == (True, 2, "DISCARD", 2)
    assert done.receipt is not None
    assert (done.receipt.what, done.receipt.records) == ("pictures", 2)
    assert len(copies) == 0
    insert(client, "strict", "3", png(3))
    assert len(copies) == 0
    client.restore_snapshot("strict", snapshot.snapshot_id, target="strict", replace=True)
    assert client.get_collection("strict").picture_policy == "DISCARD"
    insert(client, "strict", "4", png(4))
    assert len(copies) == 0
    actions = [(e.action, e.details.get("to")) for e in client.list_audit_entries(page_size=1000)]
    assert ("picture.policy", "DISCARD") in actions


def test_a_looser_policy_keeps_pictures_from_then_on_also_those_that_are_known(client: Client) -> None:
    client.create_collection("looser")
    insert(client, "looser", "1", png(1))
    with pytest.raises(NotFound, match="is not stored"):
        client.picture_link("looser", "1")
    assert client.set_picture_policy("looser", COPY).changed
    insert(client, "looser", "1", png(1))
    assert fetched(client.picture_link("looser", "1").url)[1] == png(1)


def test_a_restore_in_place_keeps_the_copies_that_are_still_there(client: Client, copies: Copies) -> None:
    client.create_collection("back", picture_policy=COPY)
    insert(client, "back", "1", png(1))
    insert(client, "back", "2", png(2))
    snapshot = client.create_snapshot("back")
    insert(client, "back", "2", png(5))
    insert(client, "back", "3", png(3))
    assert within_s(10, lambda: len(copies) == 3)
    client.restore_snapshot("back", snapshot.snapshot_id, target="back", replace=True)
    assert fetched(client.picture_link("back", "1").url)[1] == png(1)
    with pytest.raises(NotFound, match="is not stored"):
        client.picture_link("back", "2")
    assert within_s(10, lambda: len(copies) == 1)


def test_a_link_ends_with_the_key_that_asked_for_it_and_needs_the_scope(
    server: Server, client: Client, tenant_name: str
) -> None:
    client.create_collection("links", picture_policy=COPY)
    insert(client, "links", "1", png(1))
    key = server.key(tenant_name, [Scope.PICTURES])
    with server.client(key) as other:
        link = other.picture_link("links", "1")
    assert fetched(link.url)[0] == 200
    server.revoke(tenant_name, key)
    assert fetched(link.url)[0] == 410
    with server.client(server.key(tenant_name, [Scope.SEARCH])) as other, pytest.raises(PermissionDenied):
        other.picture_link("links", "1")
    assert fetched(link.url[:-6] + "AAAAAA")[0] == 404


def test_a_copy_that_was_changed_is_refused(client: Client, copies: Copies) -> None:
    client.create_collection("damaged", picture_policy=COPY)
    insert(client, "damaged", "1", png(1))
    (path,) = copies.paths()
    flip_byte(path, -20)
    status, body, _ = fetched(client.picture_link("damaged", "1").url)
    assert (status, body.startswith(b"PICTURE_DAMAGED")) == (409, True)


def test_a_reference_is_the_url_and_goes_with_the_policy(tmp_path: Path, shop: Shop) -> None:
    server = start_server(tmp_path, environment=FETCHING)
    client = server.client(server.key("acme"))
    client.create_collection("urls", picture_policy="REFERENCE")
    url = f"{shop.address}/1.png?secret=of-the-shop-1234"
    shop.pictures["/1.png?secret=of-the-shop-1234"] = png(1)
    (result,) = client.insert("urls", [NewRecord("1", url=url)])
    assert result.error is None
    link = client.picture_link("urls", "1")
    assert (link.url, link.expire_time, link.policy) == (url, None, "REFERENCE")
    assert b"of-the-shop-1234" not in all_bytes(server.data_dir)
    assert client.set_picture_policy("urls", "DISCARD").urls == 1
    done = client.set_picture_policy("urls", "DISCARD", force=True)
    assert (done.urls, done.receipt is not None) == (1, True)
    with pytest.raises(NotFound):
        client.picture_link("urls", "1")


def test_the_url_of_an_erased_record_is_nowhere(tmp_path: Path, shop: Shop) -> None:
    server = start_server(tmp_path, environment=FETCHING)
    with server.client(server.key("acme")) as client:
        client.create_collection("urls", picture_policy="REFERENCE")
        client.create_collection("copies", picture_policy=COPY)
        urls = [f"{shop.address}/{n}.png?of-a-seller-{n}" for n in range(4)]
        shop.pictures |= {f"/{n}.png?of-a-seller-{n}": png(n) for n in range(4)}
        for name in ("urls", "copies"):
            results = client.insert(name, [NewRecord(f"record-{n}", url=u) for n, u in enumerate(urls)])
            assert all(r.error is None for r in results)
        client.create_snapshot("urls")
        gone = Evidence(urls[:3], np.empty((0, 384), np.float32))
        assert found_in(server, gone)
        for name in ("urls", "copies"):
            client.erase_records(name, record_ids=[f"record-{n}" for n in range(3)])
        assert found_in(server, gone) == set()
        assert found_in(server, Evidence(urls[3:], gone.vectors))
        assert len(Copies(server, "acme")) == 1


def found_in(server: Server, evidence: Evidence) -> set[str]:
    """Files and objects of the tenant that contain something after decryption."""
    with server.registry() as registry:
        uid = registry.tenant("acme").uid
        objects = SealedObjects(ObjectStore(server.data_dir / "objects"), registry.data_key).all_opened(uid)
        layout = DataDirectory(server.data_dir).tenant(uid)
        return {t.file for t in search(layout, registry.data_key(uid), evidence, objects).traces}


def test_acknowledged_copies_survive_a_kill_and_unfinished_ones_are_deleted(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    key = server.key("acme")
    with server.client(key) as client:
        client.create_collection("c", picture_policy=COPY)
        insert(client, "c", "1", png(1))
        server.kill()
    server = start_server(tmp_path)
    with server.client(key) as client:
        assert fetched(client.picture_link("c", "1").url)[1] == png(1)
    assert server.stop() == 0


def test_a_bucket_alone_reveals_nothing_and_a_deleted_tenant_leaves_it_empty(tmp_path: Path) -> None:
    with s3() as bucket:
        server = start_server(tmp_path, environment=bucket.settings)
        with server.client(server.key("acme")) as client:
            client.create_collection("c", picture_policy=COPY)
            for number in range(3):
                insert(client, "c", f"record-{number}", png(number))
            assert fetched(client.picture_link("c", "record-1").url)[1] == png(1)
            held = bucket.objects()
            assert len(held) == 3
            assert not any(png(n)[40:80] in body for n in range(3) for body in held.values())
            assert not any("record" in name or "acme" in name for name in held)
            swapped = sorted(held)
            bucket.client.put_object(Bucket=bucket.name, Key=swapped[0], Body=held[swapped[1]])
            refused = {fetched(client.picture_link("c", f"record-{n}").url)[0] for n in range(3)}
            assert refused == {200, 409}  # an object cannot stand for another
            client.erase_records("c", record_ids=["record-2"])
            assert len(bucket.names()) == 2
        with server.registry() as registry:
            registry.delete_tenant("acme")
        assert within_s(20, lambda: not bucket.names())
        assert not (server.data_dir / "objects").exists()
        assert server.stop() == 0


def test_where_the_storage_is_away_nothing_is_acknowledged(tmp_path: Path) -> None:
    with s3() as bucket:
        settings = bucket.settings
        server = start_server(tmp_path, environment=settings)
        with server.client(server.key("acme")) as client:
            client.create_collection("c", picture_policy=COPY)
            bucket.client.delete_bucket(Bucket=bucket.name)
            (result,) = client.insert("c", [NewRecord("1", image=png(1))])
            assert result.error is not None
            assert result.error.reason == "STORE_UNAVAILABLE"
            assert client.count_records("c") == 0
        assert "object storage:" in server.log.read_text()
        shell = Shell(server, "acme", tmp_path / "state")
        shell.environment |= settings
        checks = {c["name"]: c for c in shell.json("doctor", *shell.data, code=1)["checks"]}
        assert checks["object store"]["state"] == "failed"
        assert server.stop() == 0


def test_a_change_of_policy_that_the_storage_cut_off_is_audited_and_certified_when_repeated(tmp_path: Path) -> None:
    with s3() as bucket:
        server = start_server(tmp_path, environment=bucket.settings)
        with server.client(server.key("acme")) as client:
            client.create_collection("c", picture_policy=COPY)
            insert(client, "c", "1", png(1))
            held = bucket.objects()
            bucket.client.delete_object(Bucket=bucket.name, Key=next(iter(held)))
            bucket.client.delete_bucket(Bucket=bucket.name)
            with pytest.raises(Unavailable):
                client.set_picture_policy("c", "DISCARD", force=True)
            changes = [a for a in audit_acts(client.list_audit_entries()) if a.action == "picture.policy"]
            assert [(a.details["to"], a.outcome) for a in changes] == [("DISCARD", "open")]
            bucket.client.create_bucket(
                Bucket=bucket.name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
            )
            again = client.set_picture_policy("c", "DISCARD", force=True)
            assert (again.changed, again.receipt is not None and again.receipt.records) == (False, 1)
            changes = [a for a in audit_acts(client.list_audit_entries()) if a.action == "picture.policy"]
            assert [a.outcome for a in changes] == ["done", "nothing"]
        assert server.stop() == 0


def test_a_server_that_nobody_is_said_to_reach_over_http_hands_nothing_out(tmp_path: Path) -> None:
    server = start_server(tmp_path, "--http", "0.0.0.0:0", environment={"AFTERIMAGE_HTTP_PROXIES": '["10.1.0.0/16"]'})
    with server.client(server.key("acme")) as client:
        client.create_collection("c", picture_policy=COPY)
        insert(client, "c", "1", png(1))
        with pytest.raises(FailedPrecondition, match="http_public_url"):
            client.picture_link("c", "1")
    assert server.stop() == 0
