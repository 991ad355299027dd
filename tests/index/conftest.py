"""For all tests of the index."""

from collections.abc import Iterator

import pytest

from tests.support.data.collections import build_at_once


@pytest.fixture(scope="session", autouse=True)
def _builds_begin_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        build_at_once(monkeypatch)
        yield
