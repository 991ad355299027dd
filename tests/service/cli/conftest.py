"""Fixtures for tests of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.servers.server import Server
from tests.support.servers.shell import Shell


@pytest.fixture
def shell(server: Server, tenant_name: str, tmp_path: Path) -> Shell:
    return Shell(server, tenant_name, tmp_path / "state")
