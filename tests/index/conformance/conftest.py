"""The vector indexes that are tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from index import LocalVectorIndexes
from index.contract import VectorIndexFactory
from tests.index.conformance.opened import Opened
from tests.support.data.numpy_index import NumpyIndexes
from tests.support.data.remote_like import Faults, RemoteIndexes


@pytest.fixture(params=["local", "numpy", "remote"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    faults = Faults()
    indexes: dict[str, VectorIndexFactory] = {
        "local": LocalVectorIndexes(), "numpy": NumpyIndexes(), "remote": RemoteIndexes(NumpyIndexes(), faults),
    }  # fmt: skip
    made = Opened(tmp_path, indexes[request.param], faults)
    yield made
    made.tenant.close()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Opened]:
    faults = Faults()
    made = Opened(tmp_path, RemoteIndexes(NumpyIndexes(), faults), faults)
    yield made
    made.tenant.close()
