"""A server that fetches from shops of tests, for commands on syncs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shell import Shell
from tests.support.servers.shop import FETCHING


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = share(
        start_server(
            tmp_path_factory.mktemp("fetching"),
            environment=FETCHING,
        )
    )
    yield server
    assert server.stop() == 0


@pytest.fixture
def shell(fetching: Server, tenant_name: str, tmp_path: Path) -> Shell:
    return Shell(fetching, tenant_name, tmp_path / "state")
