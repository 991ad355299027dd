"""A tenant whose collection follows a feed, on the shared server: what clients of every language find."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from afterimage.client import NewSource
from tests.support.data.pictures import encode, noise, png
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shop import FETCHING, Shop

COLLECTION, SOURCE = "shoes", "feed"


@dataclass(frozen=True)
class Followed:
    """A server on which a sync of two records has succeeded, and pictures 0.jpg to 2.jpg to send to it."""

    server: Server
    key: str
    run_id: str
    pictures: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the examples and the clients read."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AFTERIMAGE_")},
            "AFTERIMAGE_URL": f"http://{self.server.http}", "AFTERIMAGE_TARGET": self.server.target,
            "AFTERIMAGE_API_KEY": self.key,
        }  # fmt: skip


@pytest.fixture(scope="session")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {**FETCHING, "AFTERIMAGE_MAX_SEARCH_WAIT_S": "30"}
    server = share(start_server(tmp_path_factory.mktemp("fetching"), environment=environment))
    yield server
    assert server.stop() == 0


@pytest.fixture
def followed(fetching: Server, tenant_name: str, shop: Shop, tmp_path: Path) -> Followed:
    key = fetching.key(tenant_name)
    shop.pictures |= {f"/{n}.png": png(n) for n in (1, 2)}
    lines = [{"id": str(n), "title": f"shoe {n}", "image_link": f"{shop.address}/{n}.png"} for n in (1, 2)]
    shop.pictures["/feed.jsonl"] = "\n".join(map(json.dumps, lines)).encode()
    with fetching.client(key) as client:
        client.create_collection(COLLECTION)
        client.create_source(NewSource(SOURCE, COLLECTION, f"{shop.address}/feed.jsonl"))
        *_, last = client.watch_run(client.start_run(SOURCE).run_id)
    assert (last.state, last.created_count) == ("succeeded", 2)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"{number}.jpg").write_bytes(encode(noise(number), "JPEG"))
    return Followed(fetching, key, last.run_id, pictures)
