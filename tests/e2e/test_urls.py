"""Pictures by URL on a real server: fetched, found, and fetched again only after a change."""

from collections.abc import Iterator
from typing import Any

import pytest

from afterimage.client import NewRecord, Term
from tests.support.data.files import all_bytes
from tests.support.data.pictures import png
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shop import FETCHING, Shop


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = share(start_server(tmp_path_factory.mktemp("fetching"), environment=FETCHING))
    yield server
    assert server.stop() == 0


def outcomes(results: list[Any]) -> list[str]:
    return [r.error.reason if r.error else r.outcome for r in results]


def test_records_by_url_are_fetched_and_found_and_asked_for_again_only_with_their_version(
    fetching: Server, shop: Shop, tenant_name: str
) -> None:
    shop.pictures = {f"/secret-path/{n}.png": png(n) for n in range(4)}
    urls = [shop.address + path for path in shop.pictures]
    with fetching.client(fetching.key(tenant_name)) as client:
        client.create_collection("c")
        records = [NewRecord(str(n), url=url) for n, url in enumerate([*urls, shop.address + "/none.png"])]
        assert outcomes(client.insert("c", records)) == ["created"] * 4 + ["URL_NOT_FOUND"]
        assert client.search("c", Term(url=urls[2]), k=1).hits[0].record_id == "2"
        assert client.search("c", png(1), k=1).hits[0].record_id == "1"
        shop.requests.clear()
        shop.pictures["/secret-path/3.png"] = png(33)
        again = client.insert("c", [NewRecord(r.record_id, url=r.url) for r in records[:4]])
        assert outcomes(again) == ["unchanged"] * 3 + ["updated"]
        assert all(etag for _, etag in shop.requests)
        shop.etags = False
        assert outcomes(client.insert("c", records[:4])) == ["unchanged"] * 4  # by digest: no host has to help
    stored = all_bytes(fetching.folder)
    assert b"secret-path" not in stored
    assert png(1)[40:80] not in stored


def test_a_picture_that_came_by_url_and_then_as_bytes_has_no_version_any_more(
    fetching: Server, shop: Shop, tenant_name: str
) -> None:
    shop.pictures = {"/1.png": png(1)}
    with fetching.client(fetching.key(tenant_name)) as client:
        client.create_collection("c")
        by_url = [NewRecord("1", url=shop.address + "/1.png")]
        for records in (by_url, [NewRecord("1", image=png(2))], by_url):
            client.insert("c", records)
        assert [etag for _, etag in shop.requests] == ["", ""]
        assert client.search("c", png(1), k=1).hits[0].distance < 1e-3


def test_a_tenant_may_be_limited_to_hosts_while_the_server_runs(fetching: Server, shop: Shop, tenant_name: str) -> None:
    shop.pictures = {"/1.png": png(1)}
    record = [NewRecord("1", url=shop.address + "/1.png")]
    with fetching.client(fetching.key(tenant_name)) as client:
        client.create_collection("c")
        with fetching.registry() as registry:
            registry.set_fetch_hosts(tenant_name, ["cdn.shop.example"])
            assert outcomes(client.insert("c", record)) == ["URL_FORBIDDEN"]
            registry.set_fetch_hosts(tenant_name, None)
            assert outcomes(client.insert("c", record)) == ["created"]
    assert len(shop.requests) == 1
