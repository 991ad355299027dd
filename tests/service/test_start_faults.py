"""A damaged file that prevents the start: one line names it and the remedy, and nothing is removed."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from index import AfterimageIndexError, DataDirectory
from index.storage.sqlite import connect
from service.cli import main
from service.composition import run
from service.composition.data_directory import open_registry, write_region
from service.config import load_settings
from service.errors import SettingError
from service.tenancy.masterkey import load_master_key
from tests.support.data.data_directory import key_file
from tests.support.servers.server import COMMAND, clean_environment

NOT_TEXT = b"\xff\xfe\xe4\x00"


@dataclass(frozen=True)
class Case:
    """The damage to a path of the data directory, and the expected message."""

    name: str
    file: str
    damage: Callable[[Path], object]
    said: str

    def path(self, root: Path) -> Path:
        return key_file(root) if self.file == "master key" else root / self.file


def directory(path: Path) -> None:
    """A directory in place of a file, which not even root can read."""
    path.unlink()
    path.mkdir()


def no_folder(path: Path) -> None:
    """A file in place of a directory that the server makes."""
    path.touch()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def socket_folder(path: Path) -> None:
    """A directory in place of a socket."""
    path.mkdir(parents=True)
    (path / "content").touch()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere") / "file")


def newer(path: Path) -> None:
    """A file of a future version."""
    key = load_master_key(key_file(path.parent), None, create=False).derive("tenant registry")
    with closing(connect(path, key, create=False)) as database:
        database.execute("PRAGMA user_version = 999")


CASES = [
    Case("damaged", "registry.db", lambda p: p.write_bytes(NOT_TEXT * 4096), "doctor --repair"),
    Case("empty", "registry.db", lambda p: p.write_bytes(b""), "doctor --repair"),
    Case("directory", "registry.db", directory, "doctor --repair"),
    Case("dangling", "registry.db", dangling, "doctor --repair"),
    Case("newer", "registry.db", newer, "use a newer version of Afterimage"),
    Case("not-text", "master key", lambda p: p.write_bytes(NOT_TEXT), "32 bytes in base64"),
    Case("empty", "master key", lambda p: p.write_bytes(b""), "32 bytes in base64"),
    Case("directory", "master key", directory, "restore the master key"),
    Case("dangling", "master key", dangling, "restore the file"),
    Case("not-text", "NODE", lambda p: p.write_bytes(NOT_TEXT), "remove it, and the next start creates a new one"),
    Case("directory", "NODE", directory, "remove it, and the next start creates a new one"),
    Case("dangling", "NODE", dangling, "remove it, and the next start creates a new one"),
    Case("not-text", "REGION", lambda p: p.write_bytes(NOT_TEXT), "remove it, and the next start creates it"),
    Case("directory", "REGION", directory, "remove it, and the next start creates it"),
    Case("dangling", "REGION", dangling, "remove it, and the next start creates it"),
    Case("directory", "LOCK", directory, "remove it, and the next start creates it"),
    Case("dangling", "LOCK", dangling, "remove it, and the next start creates it"),
    Case("pipe", "LOCK", pipe, "remove it, and the next start creates it"),
    Case("file", "objects", no_folder, "is not a folder: move it away, and the next start creates it"),
    Case("loop", "objects", loop, "is not a folder: move it away, and the next start creates it"),
    Case("file", "redis", no_folder, "is not a folder: move it away, and the next start creates it"),
    Case("folder", "redis/redis.sock", socket_folder, "is a folder: move it away, and the next start creates a socket"),
]
BY_COMMAND = {("not-text", "REGION")}  # the others in long runs: a process of its own takes seconds


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after a server has run on it."""
    root = tmp_path_factory.mktemp("whole") / "data"
    with closing(open_registry(load_settings({"data_dir": root}).settings, create=True)) as registry:
        registry.create_tenant("acme")
    DataDirectory(root).node.write_text("0123456789abcdef")
    DataDirectory(root).lock.touch()
    write_region(DataDirectory(root), "eu-1")
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "data")
    shutil.copy(key_file(whole), key_file(tmp_path / "data"))
    return tmp_path / "data"


def names(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if not p.name.endswith(("-wal", "-shm"))}


def check(case: Case, root: Path, code: int, said: str) -> None:
    lines = [line for line in said.splitlines() if not line.startswith("{")]  # the log, before it
    assert code == 1, said
    assert len(lines) == 1, said
    assert lines[0].startswith("error: "), said
    assert case.path(root).name in lines[0]
    assert case.said in lines[0]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, marks=() if (c.name, c.file) in BY_COMMAND else pytest.mark.long, id=f"{c.file}-{c.name}")
        for c in CASES
    ],
)
def test_a_server_that_cannot_start_names_the_file_and_the_remedy(case: Case, root: Path) -> None:
    case.damage(case.path(root))
    before = names(root)
    done = subprocess.run(
        [*COMMAND, "serve", "--data-dir", str(root), "--listen", "127.0.0.1:0", "--http", ""],
        env=clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    check(case, root, done.returncode, done.stderr)
    assert before <= names(root)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.file}-{c.name}")
def test_the_same_in_this_process(case: Case, root: Path) -> None:
    case.damage(case.path(root))
    before = names(root)
    settings = load_settings({"data_dir": root, "strict_forgetting": False}).settings

    def ready(_: object) -> None:
        raise AssertionError("the server started")

    with pytest.raises((SettingError, AfterimageIndexError)) as caught:
        asyncio.run(run.serve(settings, ready))
    check(case, root, 1, f"error: {caught.value}")
    assert before <= names(root)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.file in ("registry.db", "master key")], ids=lambda c: f"{c.file}-{c.name}"
)
def test_so_does_every_command_that_opens_the_registry(
    case: Case, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.damage(case.path(root))
    before = names(root)
    monkeypatch.setattr(sys, "argv", ["afterimage", "tenants", "list", "--data-dir", str(root)])
    with pytest.raises(SystemExit) as ended:
        main.run()
    check(case, root, int(str(ended.value.code)), capsys.readouterr().err)
    assert before <= names(root)


@pytest.mark.parametrize("case", [c for c in CASES if c.file == "REGION"], ids=lambda c: c.name)
def test_so_does_a_command_that_makes_a_tenant(
    case: Case, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.damage(case.path(root))
    monkeypatch.setattr(sys, "argv", ["afterimage", "tenants", "create", "bolt", "--data-dir", str(root)])
    with pytest.raises(SystemExit) as ended:
        main.run()
    check(case, root, int(str(ended.value.code)), capsys.readouterr().err)
