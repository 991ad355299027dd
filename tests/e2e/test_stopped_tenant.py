"""A tenant with a missing file is not served, others are, and `doctor --repair` restores it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from afterimage.client import AfterimageError
from service.tenancy.apikeys import Scope
from service.tenancy.stored_keys import NewKey
from tests.e2e.test_lifecycle import fetch
from tests.support.data.data_directory import ALL_RECORDS, make, opened
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell

NOT_SERVED = "1 tenant is not served: see `afterimage doctor`"


def readiness(server: Server, said: str) -> tuple[int, str]:
    """The answer of `/readyz`, once it has one."""
    end = time.monotonic() + 60
    while said not in (answer := fetch(server, "/readyz"))[1]:
        assert time.monotonic() < end, answer
    return answer


def test_a_tenant_whose_file_is_lost_is_stopped_alone_told_of_and_mended(tmp_path: Path) -> None:
    make(tmp_path / "data")
    with opened(tmp_path / "data") as parts:
        lost = parts.data.tenant(parts.uid("acme")).collections
        new = NewKey(frozenset(Scope))
        keys = {name: parts.registry.api_keys.create(parts.uid(name), new) for name in ("acme", "bolt")}
    aside = lost.rename(tmp_path / "collections.db")

    server = start_server(tmp_path)
    with server.client(keys["acme"]) as stopped, server.client(keys["bolt"]) as served:
        with pytest.raises(AfterimageError) as caught:
            list(stopped.collections())
        assert str(lost.parent.name) not in str(caught.value), "paths of the server are for its operator alone"
        assert [c.name for c in served.collections()] == ["hats", "shoes"]
        assert served.count_records("shoes") == ALL_RECORDS["shoes"]
    assert readiness(server, "not served") == (200, f"ready\n{NOT_SERVED}\n")
    assert "afterimage_tenants_stopped 1.0" in fetch(server, "/metrics")[1]
    assert "collections.db is missing" in server.log.read_text()
    assert server.stop() == 0

    shell = Shell(None, "", tmp_path / "state", data_dir=server.data_dir)
    checks = {c["name"]: c for c in shell.json("doctor", *shell.data, code=1)["checks"]}
    assert checks["files of tenants"]["state"] == "failed"
    assert "acme" in checks["files of tenants"]["detail"]
    assert str(lost) in checks["files of tenants"]["detail"]
    assert not lost.exists(), "doctor alone changes nothing"
    (mended,) = shell.json("doctor", "--repair", *shell.data)["mended"]
    assert mended["tenant"] == "acme"
    assert shell.json("doctor", "--repair", *shell.data)["mended"] == []

    server = start_server(tmp_path)
    with server.client(keys["acme"]) as again:
        assert {c.name: again.count_records(c.name) for c in again.collections()} == ALL_RECORDS
    assert fetch(server, "/readyz") == (200, "ready\n")
    assert "afterimage_tenants_stopped 0.0" in fetch(server, "/metrics")[1]
    assert server.stop() == 0
    assert aside.exists()

    kept = next(lost.parent.glob("*/kept-*"))
    shutil.rmtree(kept)
    checks = {c["name"]: c for c in shell.json("doctor", *shell.data)["checks"]}
    assert checks["files of tenants"]["state"] == "warning"
    assert f"acme: kept snapshot {kept} is missing" in checks["files of tenants"]["detail"]
