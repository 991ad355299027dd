"""A tenant with the objects of every audited call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.audited_calls import World, world
from tests.support.servers.server import Server, share, start_server


def served(folder: Path) -> Server:
    """A server that reads feeds from a folder, so that sources need no shop."""
    feeds = folder / "feeds"
    (feeds / "acme").mkdir(parents=True, exist_ok=True)
    return start_server(folder, environment={"AFTERIMAGE_FEEDS_DIR": str(feeds)})


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A tenant with the objects of the calls."""
    server = share(served(tmp_path_factory.mktemp("audited")))
    key = server.key("acme")
    with server.client(key) as client, world(server, "acme", client, key) as made:
        made.furnish()
        yield made
    assert server.stop() == 0
