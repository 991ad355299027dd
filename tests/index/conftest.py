"""For all tests of the index."""

from collections.abc import Iterator

import pytest

from tests.support.data.collections import build_at_once
from tests.support.servers.postgresql_server import PostgresServer, running_postgres


@pytest.fixture(scope="session", autouse=True)
def _builds_begin_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        build_at_once(monkeypatch)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One real server for all tests of a process. Each test has its own collections on it."""
    with running_postgres() as made:
        yield made
