"""The standby copy of the registry, written by a server and by commands at the same moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from service.tenancy.companions import copy_of
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry

MASTER = MasterKey(bytes(32))
PATIENCE_S = 60.0
# Waits for a line on standard input, so that all begin together.
WRITER = """
import sys
from pathlib import Path
from service.tenancy.companions import write_copy
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
registry = TenantRegistry(Path(sys.argv[1]), MasterKey(bytes(32)))
print("ready", flush=True)
sys.stdin.readline()
database = registry._database
for _ in range(10):
    write_copy(database._connection, database._path, database._key)
registry.create_tenant(sys.argv[2])
registry.close()
"""


def test_two_processes_that_write_the_copy_at_once_leave_the_newest_one(tmp_path: Path) -> None:
    registry = tmp_path / "registry.db"
    TenantRegistry(registry, MASTER).close()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(registry), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=PATIENCE_S)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], said
    assert said == ["", ""]  # a copy that could not be written is a warning
    copy_of(registry).rename(tmp_path / "copied.db")
    copied = TenantRegistry(tmp_path / "copied.db", MASTER)
    assert {t.name for t in copied.tenants()} == {"one", "two"}
    copied.close()
    assert not list(tmp_path.glob(".writing*"))


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".writing-registry-copy.db").write_bytes(b"half a copy")
    registry = TenantRegistry(tmp_path / "registry.db", MASTER)
    registry.create_tenant("acme")
    registry.close()
    assert copy_of(tmp_path / "registry.db").exists()
    assert not list(tmp_path.glob(".writing*"))
