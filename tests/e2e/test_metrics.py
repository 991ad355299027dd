"""Metrics of a real server: what happens is counted, and read by those who may."""

from __future__ import annotations

import contextlib
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from afterimage.client import AfterimageError, Client, NewRecord, NewSource, Term
from service.tenancy.limits import Limits
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.servers.server import Server, share, start_server
from tests.support.servers.shop import FETCHING, Shop

TOKEN = "a-token-for-the-tests"


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose metrics need a token."""
    folder = tmp_path_factory.mktemp("counted")
    (folder / "token").write_text(TOKEN)
    environment = {**FETCHING, "AFTERIMAGE_METRICS_TOKEN_FILE": str(folder / "token")}
    server = share(start_server(folder, environment=environment))
    yield server
    assert server.stop() == 0


@pytest.fixture
def client(counted: Server) -> Iterator[Client]:
    with counted.client(counted.key("acme")) as connected:
        yield connected


def read(server: Server, query: str = "", token: str = TOKEN) -> dict[str, float]:
    """All series of the server, by name with labels."""
    request = urllib.request.Request(
        f"http://{server.http}/metrics{query}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def wait_for(server: Server, series: str) -> float:
    """The value of a series, once maintenance has set it."""
    ends = time.monotonic() + 30
    while series not in (found := read(server)):
        assert time.monotonic() < ends, series
    return found[series]


def test_metrics_need_the_token_and_health_does_not(counted: Server) -> None:
    for token in ("", "another"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            read(counted, token=token)
    assert read(counted)["afterimage_ready"] == 1
    with urllib.request.urlopen(f"http://{counted.http}/healthz") as answer:
        assert answer.status == 200
    found = read(counted)
    assert found['afterimage_http_requests_total{code="401",door="metrics"}'] == 2
    assert found['afterimage_http_requests_total{code="200",door="health"}'] >= 1
    assert found["process_resident_memory_bytes"] > 1e7
    assert found["process_cpu_seconds_total"] > 0


def test_fetches_are_counted_by_what_became_of_them(counted: Server, client: Client, shop: Shop) -> None:
    client.create_collection("fetched")
    shop.pictures["/1.png"] = png(1)
    for url in ("/1.png", "/1.png", "/none.png"):
        client.insert("fetched", [NewRecord("1", url=shop.address + url)])
    shop.pictures["/feed"] = jsonl([{"id": "1", "image_link": f"{shop.address}/1.png"}])
    source = NewSource("feed", "fetched", f"{shop.address}/feed", cron="0 3 * * *")
    made = client.create_source(source)
    list(client.watch_run(client.start_run("feed").run_id))
    found = read(counted)
    assert found['afterimage_fetches_total{kind="picture",reason="OK"}'] == 1
    assert found['afterimage_fetches_total{kind="picture",reason="UNCHANGED"}'] >= 1
    assert found['afterimage_fetches_total{kind="picture",reason="URL_NOT_FOUND"}'] == 1
    assert found['afterimage_fetches_total{kind="feed",reason="OK"}'] == 1
    assert found['afterimage_fetch_seconds_count{kind="picture"}'] >= 3
    age_s = wait_for(counted, f'afterimage_sync_source_success_age_seconds{{source="{made.source_id}"}}')
    assert 0 <= age_s < 100
    assert "acme" not in str(found)
    assert "feed" not in re.sub(r'kind="feed"', "", str(found))


def test_quotas_erasures_and_policies_are_counted(counted: Server, client: Client) -> None:
    client.create_collection("kept", picture_policy="ENCRYPTED_COPY")
    client.insert("kept", [NewRecord(f"{n}", image=png(n)) for n in range(3)])
    client.set_picture_policy("kept", "DISCARD", force=True)
    client.erase_records("kept", record_ids=["1"])
    with counted.registry() as registry:
        registry.limits.set(registry.tenant("acme").uid, Limits(records=3))
    try:
        with contextlib.suppress(AfterimageError):
            client.insert("kept", [NewRecord(f"m{n}", image=png(n)) for n in range(5)])
    finally:
        with counted.registry() as registry:
            registry.limits.set(registry.tenant("acme").uid, Limits())
    found = read(counted)
    assert found['afterimage_policy_changes_total{policy="DISCARD"}'] == 1
    assert found['afterimage_erasures_total{kind="records"}'] == 1
    assert found['afterimage_erasures_total{kind="pictures"}'] == 1
    assert found["afterimage_erasure_seconds_count"] == 2
    assert found['afterimage_quota_refusals_total{quota="records"}'] >= 1
    assert wait_for(counted, 'afterimage_tenants{state="served"}') == 1
    assert found["afterimage_audit_head_age_seconds"] < 100


def test_collections_in_memory_are_shown_by_id_to_those_who_ask(counted: Server, client: Client) -> None:
    client.create_collection("shown-by-id")
    client.insert("shown-by-id", [NewRecord("1", image=png(1))])
    client.search("shown-by-id", Term(image=png(1)))
    assert not [name for name in read(counted) if name.startswith("afterimage_collection_")]
    found = {n: v for n, v in read(counted, "?collections=1").items() if n.startswith("afterimage_collection_")}
    assert 1.0 in found.values()
    for name in found:
        assert re.fullmatch(r'afterimage_collection_\w+\{collection="[0-9a-f]{32}"\}', name), name
