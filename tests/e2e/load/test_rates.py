"""Rate limits and quotas of tenants and keys, on a real server."""

import itertools
import threading
from pathlib import Path

import pytest

from afterimage.client import Client, NewRecord, NewSource, ResourceExhausted, Term, Unauthenticated
from tests.support.data.feeds import jsonl
from tests.support.data.pictures import png
from tests.support.servers.server import Server, start_server
from tests.support.servers.shell import Shell
from tests.support.servers.shop import FETCHING, Shop


@pytest.fixture
def shell(server: Server, tenant_name: str, tmp_path: Path) -> Shell:
    return Shell(server, tenant_name, tmp_path)


def test_a_tenant_that_calls_too_often_is_told_how_long_to_wait(server: Server, shell: Shell, tenant_name: str) -> None:
    told = shell.json("tenants", "limits", tenant_name, "--requests-per-second", "0.1", *shell.data)
    assert told["requests_per_s"] == 0.1
    with server.client(shell.environment["AFTERIMAGE_API_KEY"]) as client, server.client(server.key("free")) as other:
        client.server_info()
        with pytest.raises(ResourceExhausted) as caught:
            client.server_info()
        assert caught.value.reason == "RATE_EXCEEDED"
        assert 5 < (caught.value.retry_delay_s or 0) <= 10
        other.server_info()
        other.server_info()
        shell.run("tenants", "limits", tenant_name, "--requests-per-second", "0", *shell.data)
        client.server_info()


def test_a_key_may_have_a_rate_of_its_own(server: Server, shell: Shell, tenant_name: str) -> None:
    made = shell.json("keys", "create", tenant_name, "--scopes", "admin", "--requests-per-second", "0.1", *shell.data)
    other_key = shell.environment["AFTERIMAGE_API_KEY"]
    with server.client(made["api_key"]) as slow, server.client(other_key) as other:
        assert slow.usage().key_max_requests_per_second == 0.1
        with pytest.raises(ResourceExhausted, match=r"this key is limited to 0\.1"):
            slow.usage()
        other.usage()
        other.usage()


def test_pictures_of_a_day_are_counted_where_they_are_encoded(client: Client, shell: Shell, tenant_name: str) -> None:
    shell.run("tenants", "limits", tenant_name, "--pictures-per-day", "3", *shell.data)
    client.create_collection("c")
    first = client.insert("c", [NewRecord(str(n), image=png(n)) for n in range(5)])
    assert sorted(r.outcome for r in first) == ["created"] * 3 + ["failed"] * 2
    error = next(r.error for r in first if r.error)
    assert error.reason == "QUOTA_EXCEEDED"
    stored = {int(r.record_id) for r in first if r.error is None}
    again = client.insert("c", [NewRecord(str(n), image=png(n)) for n in stored])
    assert {r.outcome for r in again} == {"unchanged"}  # costs nothing
    with pytest.raises(ResourceExhausted) as caught:
        client.search("c", png(99))
    assert 0 < (caught.value.retry_delay_s or 0) <= 86_400
    assert client.search("c", record_id_of(stored)).hits
    assert client.usage().pictures_today == 3


def record_id_of(stored: set[int]) -> Term:
    return Term(record_id=str(min(stored)))


def test_collections_are_counted(client: Client, shell: Shell, tenant_name: str) -> None:
    client.create_collection("one")
    shell.run("tenants", "limits", tenant_name, "--collections", "2", *shell.data)
    client.create_collection("two")
    with pytest.raises(ResourceExhausted, match="quota of 2 collections"):
        client.create_collection("three")
    client.delete_collection("one", force=True)
    client.create_collection("three")


def test_a_tenants_syncs_take_turns_and_end_where_the_days_pictures_do(tmp_path: Path, shop: Shop) -> None:
    server = start_server(tmp_path, environment=FETCHING)
    shell = Shell(server, "acme", tmp_path / "state")
    shell.run("tenants", "limits", "acme", "--runs", "1", "--pictures-per-day", "7", *shell.data)
    shop.pictures |= {f"/{n}.png": png(n) for n in range(10)}
    with server.client(shell.environment["AFTERIMAGE_API_KEY"]) as client:
        shop.open.clear()
        runs = []
        for name, numbers in (("a", range(5)), ("b", range(5, 10))):
            items = [{"id": str(n), "image_link": f"{shop.address}/{n}.png"} for n in numbers]
            shop.pictures[f"/feed-{name}"] = jsonl(items)
            client.create_collection(name)
            client.create_source(NewSource(name, name, f"{shop.address}/feed-{name}"))
            runs.append(client.start_run(name).run_id)
        while "applying" not in (states := [client.get_run(r).state for r in runs]):
            threading.Event().wait(0.05)
        assert sorted(states) == ["applying", "queued"]
        shop.open.set()
        ends = [list(client.watch_run(r))[-1] for r in runs]
        assert [e.state for e in ends].count("succeeded") == 1
        failed = next(e for e in ends if e.state == "failed")
        assert failed.reason == "QUOTA_EXCEEDED"
        assert "7 pictures per day" in failed.message
    assert server.stop() == 0


def test_a_stream_ends_soon_after_its_key_was_revoked(server: Server, tenant_name: str) -> None:
    key = server.key(tenant_name)
    with server.client(key) as owner:
        owner.create_collection("c")
        results = owner.import_records("c", (NewRecord(str(n), vector=[1.0] * 384) for n in itertools.count()))
        assert next(results).error is None
        server.revoke(tenant_name, key)
        with pytest.raises(Unauthenticated) as caught:
            for _ in results:
                pass
    assert caught.value.reason == "KEY_REVOKED"
