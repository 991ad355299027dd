"""Credentials are sent only to their origin, whatever happens to a source.

Two real origins record what they receive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from afterimage.client import Client, NewSource, PermissionDenied, Run
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell
from tests.support.servers.shop import FETCHING
from tests.support.servers.tls import make_certificates
from tests.support.servers.tls_shop import TlsShop

TOKEN, OTHER_TOKEN = "Bearer s3cret-of-the-shop", "Bearer 0ther-secret"
HOOK_SECRET = "a-secret-that-signs-what-is-told"


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[tuple[Server, TlsShop, TlsShop]]:
    """A server, the shop of the credentials, and another one."""
    certificates = make_certificates(tmp_path)
    networks = '["127.0.0.1/32", "::1/128"]'
    environment = {**FETCHING, "AFTERIMAGE_FETCH_NETWORKS": networks, "SSL_CERT_FILE": str(certificates.ca)}
    with TlsShop().running(certificates) as shop, TlsShop().running(certificates) as other:
        items = [
            {"id": str(n), "title": "shoe", "image_link": f"{where.address}/{n}.png?sig=%2F"}
            for n, where in enumerate([shop, other])
        ]
        for where in (shop, other):
            where.answers = {
                "/feed": jsonl(items),
                "/second": jsonl(items),
                "/0.png?sig=%2F": png(0),
                "/1.png?sig=%2F": png(1),
            }
        server = start_server(tmp_path / "server", environment=environment)
        yield server, shop, other
        assert server.stop() == 0


def planned(client: Client) -> Run:
    *_, run = client.watch_run(client.start_run("feed", dry_run=True).run_id)
    return run


def test_credentials_and_the_webhooks_secret_stay_with_their_origin(
    shops: tuple[Server, TlsShop, TlsShop], tmp_path: Path
) -> None:
    server, shop, other = shops
    with server.client(server.key("acme")) as client:
        client.create_collection("c")
        source = NewSource("feed", "c", f"{shop.address}/feed", authorization=TOKEN, webhook_url=f"{shop.address}/hook",
                           webhook_secret=HOOK_SECRET)  # fmt: skip
        client.create_source(source)
        *_, run = client.watch_run(client.start_run("feed").run_id)
        assert run.created_count == 2
        assert shop.credentials() == [("/feed", TOKEN)]  # pictures got none, whoever serves them
        said = replace(client.get_source("feed").said, max_deletes=5)
        changed = client.update_source(replace(said, url=f"{shop.address}/second"))
        assert (changed.has_authorization, changed.has_webhook_secret, changed.dropped_secrets) == (True, True, ())

        shop.redirects["/second"] = f"{other.address}/feed"
        assert planned(client).state == "planned"
        assert ("/second", TOKEN) in shop.credentials()

        changed = client.update_source(replace(said, url=f"{other.address}/feed", webhook_url=f"{other.address}/hook"))
        assert changed.dropped_secrets == ("authorization", "webhook_secret")
        assert (changed.has_authorization, changed.has_webhook_secret) == (False, False)
        assert planned(client).state == "planned"
        *_, run = client.watch_run(client.start_run("feed", full=True).run_id)
        assert run.succeeded
        shop.requests.clear()
        client.update_source(replace(said, url=f"{shop.address}/feed", paused=True))  # and back: they are gone for good
        assert planned(client).state == "planned"
        assert (shop.credentials(), other.credentials(), other.posts()) == ([], [], 0)

        given = replace(said, url=f"{other.address}/feed", authorization=OTHER_TOKEN, webhook_secret=HOOK_SECRET,
                        webhook_url=f"{other.address}/hook")  # fmt: skip
        assert client.update_source(given).dropped_secrets == ()
        planned(client)
        assert other.credentials() == [("/feed", OTHER_TOKEN)]
        details = [e.details for e in client.list_audit_entries(0, 1000) if e.action == "source.update"]
        assert details[1]["changed_origins"] == "url,webhook_url"
        assert details[1]["dropped_secrets"] == "authorization,webhook_secret"
        assert "dropped_secrets" not in details[0]
        assert TOKEN not in str(details)
    shell = Shell(server, "acme", tmp_path / "state")
    told = shell.run("sync", "sources", "update", "feed", "--url", f"{shop.address}/feed")
    assert "authorization was removed" in told
    assert "--authorization-file" in told
    shell.run("sync", "sources", "update", "feed", "--url", "file:feed.csv", code=1)  # this server has no feeds_dir


def test_a_source_that_a_run_would_never_fetch_is_refused_when_it_is_registered(
    server: Server, client: Client, tenant_name: str
) -> None:
    client.create_collection("c")
    for url, setting in (
        ("https://127.0.0.1/feed", "fetch_networks"), ("https://[::ffff:10.0.0.1]/feed", "fetch_networks"),
        ("https://93.184.215.14:8443/feed", "fetch_networks"), ("http://93.184.215.14/feed", "fetch_http"),
        ("file:feed.csv", "feeds_dir"),
    ):  # fmt: skip
        with pytest.raises(PermissionDenied) as caught:
            client.create_source(NewSource("feed", "c", url))
        assert setting in caught.value.message, url
        assert caught.value.message.startswith("source.url: ")
    with pytest.raises(PermissionDenied, match="fetch_networks"):
        client.create_source(
            NewSource("feed", "c", "https://shop.example/", webhook_url="https://10.0.0.1/", webhook_secret=HOOK_SECRET)
        )
    with server.registry() as registry:
        registry.set_fetch_hosts(tenant_name, ["cdn.shop.example"])
    with pytest.raises(PermissionDenied, match="fetch-hosts"):
        client.create_source(NewSource("feed", "c", "https://shop.example/feed"))
    client.create_source(NewSource("feed", "c", "https://cdn.shop.example/feed"))  # it may resolve later
