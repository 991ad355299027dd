"""Fixtures for tests below the server.

Only those that need the service import it, so that `make mutation` loads little.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from index import Collection
from tests.support.data import collections

if TYPE_CHECKING:
    from service.tenancy.registry import TenantRegistry
    from tests.support.postgresql.server import PostgresServer

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Makes tests independent of the settings of whoever runs them. The state directory does not exist: commands make
    it, and `mktemp` would look through the folders of all tests before."""
    for name in list(os.environ):
        if name.startswith("AFTERIMAGE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AFTERIMAGE_STATE_DIR", str(tmp_path_factory.getbasetemp() / f"state-{next(_numbers)}"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests of a process. Each test has its own tenants or collections on it."""
    from tests.support.postgresql.server import running_postgres

    with running_postgres() as made:
        yield made


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    """An empty collection of 16 dimensions."""
    tenant = collections.directory(tmp_path)
    yield tenant.create(collections.SPEC)
    tenant.close()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[TenantRegistry]:
    """Tenants under the master key with the bytes 0 to 31."""
    from service.tenancy.masterkey import MasterKey
    from service.tenancy.registry import TenantRegistry

    with closing(TenantRegistry(tmp_path / "registry.db", MasterKey(bytes(range(32))))) as opened:
        yield opened


@pytest.fixture
def uid(registry: TenantRegistry) -> str:
    """A tenant, acme."""
    return registry.create_tenant("acme").uid
