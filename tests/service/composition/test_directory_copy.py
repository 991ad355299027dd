"""A copy of a data directory, made while a server writes to it."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from afterimage.client import Client, NewRecord, NewSource
from service.composition.file_copier import BackupFailed, copy_files
from service.runtime.clock import Stopwatch
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell

LEAST_WRITES = 400


class Writer(threading.Thread):
    """Inserts, replaces and deletes records, and creates and deletes collections, until it is stopped."""

    def __init__(self, server: Server, key: str) -> None:
        super().__init__(daemon=True)
        self._server, self._key = server, key
        self.acknowledged, self.began, self.stopping = 0, threading.Event(), threading.Event()
        self.slowest_s, self.errors = 0.0, list[Exception]()

    def run(self) -> None:
        with self._server.client(self._key) as client:
            try:
                while not self.stopping.is_set():
                    watch = Stopwatch()
                    self._write(client, self.acknowledged)
                    self.slowest_s = max(self.slowest_s, watch.seconds())
                    self.acknowledged += 1
                    if self.acknowledged == LEAST_WRITES // 8:
                        self.began.set()
            except Exception as error:
                self.errors.append(error)
                self.began.set()

    def _write(self, client: Client, number: int) -> None:
        vector = bytes([number % 256, 1, 0, 63]) * 384
        client.insert("shoes", [NewRecord(f"n{number:06d}", vector=vector, attributes={"number": number})])
        client.delete_records("shoes", [f"n{number - 100:06d}"], force=True)
        if number % 20 == 0:
            client.create_collection(f"c{number}")
        if number % 20 == 10:
            client.delete_collection(f"c{number - 10}", force=True)


@pytest.mark.long
def test_a_copy_made_beside_a_writer_is_served_whole_by_another_server(tmp_path: Path) -> None:
    server = start_server(tmp_path / "first")
    shell = Shell(server, "acme", tmp_path / "state")
    key = shell.environment["AFTERIMAGE_API_KEY"]
    with server.client(key) as client:
        client.create_collection("shoes", picture_policy="ENCRYPTED_COPY")
        client.insert("shoes", [NewRecord("kept", image=png(1))])
        client.create_source(NewSource("feed", "shoes", "https://shop.example/feed.xml"))
        client.create_snapshot("shoes")
    writer = Writer(server, key)
    writer.start()
    assert writer.began.wait(60)
    before = writer.acknowledged
    copied = shell.json("backup", str(tmp_path / "copy"), *shell.data)
    after = writer.acknowledged
    writer.stopping.set()
    writer.join(60)
    assert writer.errors == []
    assert server.stop() == 0
    assert copied["left_out"] == []
    assert not {"LOCK", "NODE", "redis"} & {p.name for p in (tmp_path / "copy").iterdir()}

    (tmp_path / "second").mkdir()
    (tmp_path / "copy").rename(tmp_path / "second" / "data")
    (tmp_path / "first" / "data.master-key").rename(tmp_path / "second" / "data.master-key")
    restored = start_server(tmp_path / "second")
    with restored.client(key) as client:
        numbers = [int(r.record_id[1:]) for r in client.records("shoes") if r.record_id != "kept"]
        assert before - 1 <= max(numbers) <= after + 1  # all that was acknowledged before, and nothing later
        assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1))
        assert client.search("shoes", png(1), k=1).hits[0].record_id == "kept"
        assert [s.said.name for s in client.list_sources()] == ["feed"]
        (snapshot,) = client.list_snapshots("shoes")
        assert client.verify_snapshot("shoes", snapshot.snapshot_id) == []
        assert client.picture_link("shoes", "kept").url
        assert client.verify_index("shoes") == []
    other = Shell(restored, "acme", tmp_path / "state")
    other.run("audit", "verify")
    log = restored.log.read_text()
    assert "set aside" not in log
    assert '"level": "warning"' not in log
    assert restored.stop() == 0


def test_a_copy_never_replaces_a_folder_and_is_never_made_inside_the_data(tmp_path: Path) -> None:
    shell = Shell(None, "acme", tmp_path / "state", data_dir=tmp_path / "data")
    shell.run("tenants", "create", "acme", *shell.data)
    (tmp_path / "there").mkdir()
    for target in (tmp_path / "there", tmp_path / "data" / "copy"):
        done = shell.done("backup", str(target), *shell.data)
        assert done.returncode == 1
        assert "pass the name of a new folder elsewhere" in done.stderr


def test_a_damaged_database_ends_the_copy_and_is_named(tmp_path: Path) -> None:
    shell = Shell(None, "acme", tmp_path / "state", data_dir=tmp_path / "data")
    shell.run("tenants", "create", "acme", *shell.data)
    (database,) = (tmp_path / "data" / "tenants").glob("*/audit.db")
    content = bytearray(database.read_bytes())
    content[-100] ^= 1
    database.write_bytes(content)
    done = shell.done("backup", str(tmp_path / "copy"), *shell.data)
    assert done.returncode == 1
    assert "audit.db" in done.stderr
    assert not (tmp_path / "copy").exists()


def test_what_belongs_to_no_tenant_is_copied_or_named_and_links_are_not_followed(tmp_path: Path) -> None:
    data, unknown = tmp_path / "data", "a" * 32
    shell = Shell(None, "acme", tmp_path / "state", data_dir=data)
    shell.run("tenants", "create", "acme", *shell.data)
    (known,) = (data / "tenants").iterdir()
    (data / "tenants" / unknown).mkdir()
    shutil.copy(known / "audit.db", data / "tenants" / unknown)
    for stray in (data / "note.txt", data / "tenants" / "note.txt", data / "other.db", known / "other.db"):
        stray.write_text("x")
    (data / "link").symlink_to("/etc/passwd")
    os.mkfifo(data / "pipe")
    done = shell.json("backup", str(tmp_path / "copy"), *shell.data)
    assert done["left_out"] == [unknown]
    copied = {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*") if not p.is_dir()}
    assert copied == {
        "registry.db", "registry-copy.db", "note.txt", "tenants/note.txt", "link", "other.db",
        f"tenants/{known.name}/other.db",
        f"tenants/{known.name}/audit.db", f"tenants/{known.name}/manifest.db",
    }  # fmt: skip
    assert (tmp_path / "copy" / "link").is_symlink()


def test_a_file_that_is_removed_meanwhile_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "there").write_text("x")
    gone = copy_files(tmp_path / "root", [Path("gone"), Path("there")], tmp_path / "copy")
    assert gone == [str(tmp_path / "root" / "gone")]
    assert (tmp_path / "copy" / "there").read_text() == "x"
    with pytest.raises(BackupFailed, match="FileExistsError"):
        copy_files(tmp_path / "root", [Path("there")], tmp_path / "copy")
