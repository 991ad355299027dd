"""Fixtures of tests below the server. They import nothing of the service, so `make mutation` loads them alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from index import Collection
from tests.support import collections


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test depends on the settings of whoever runs it."""
    for name in list(os.environ):
        if name.startswith("AFTERIMAGE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AFTERIMAGE_STATE_DIR", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    """An empty collection of 16 dimensions."""
    tenant = collections.directory(tmp_path)
    yield tenant.create(collections.SPEC)
    tenant.close()
