"""Erasing on several servers: one waits until the others that run have erased, too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from index import CollectionCache, DataDirectory, LocalVectorIndexes, postgres_sharing, postgres_stores
from service.erasure.other_servers import OtherServers
from service.errors import Reason, ServiceError
from service.tenancy.masterkey import MasterKey
from service.tenancy.registry import TenantRegistry
from service.tenancy.spaces import TenantSpaces
from tests.index.records.postgresql.servers import until
from tests.support.data.collections import SPEC, record
from tests.support.postgresql.server import PostgresServer


class ErasingServer:
    """What of a server erases. `forgotten`: how often its query processes were asked to."""

    def __init__(self, folder: Path, url: str, key: MasterKey, held: ExitStack) -> None:
        folder.mkdir()
        data = DataDirectory(folder)
        self.registry = held.enter_context(closing(TenantRegistry(data.registry, key, postgres_sharing(url))))
        self.registry.watch()
        stores = held.enter_context(closing(postgres_stores(url)))
        self.spaces = TenantSpaces(data, self.registry, CollectionCache(LocalVectorIndexes(), stores=stores))
        held.enter_context(closing(self.spaces))
        self.forgotten = 0
        servers = self.registry.servers(folder.name)
        assert servers is not None
        self.servers = servers
        self.others = OtherServers(servers, self.spaces, self.registry, self._forget, wait_s=20)

    async def _forget(self) -> None:
        self.forgotten += 1


@pytest.fixture
def make(tmp_path: Path, postgres: PostgresServer) -> Iterator[Callable[[str], ErasingServer]]:
    key = MasterKey(os.urandom(32))
    with ExitStack() as held:
        yield lambda name: ErasingServer(tmp_path / name, postgres.url, key, held)


def test_an_erasure_returns_once_the_other_server_has_erased(make: Callable[[str], ErasingServer]) -> None:
    one, two = make("one"), make("two")
    uid = one.registry.create_tenant("acme").uid
    one.spaces.directory(uid).create(SPEC).upsert([record(n) for n in range(3)])
    until(two.registry.tenants)

    async def erased() -> None:
        await two.others.settle()
        assert two.spaces.directory(uid).collection(SPEC.name).count() == 3
        one.spaces.directory(uid).collection(SPEC.name).erase(["1"])
        waiting = asyncio.create_task(one.others.erase(uid))
        while not two.servers.wanted([uid])[1]:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        await two.others.settle()
        await waiting

    asyncio.run(erased())
    assert two.forgotten == 1
    with two.spaces.directory(uid).collection(SPEC.name).handle as loaded:
        assert loaded.store.tombstones() == []
    assert two.servers.wanted([uid])[1] == []


def test_a_server_that_runs_and_does_not_erase_is_named_and_one_that_does_not_run_is_not_waited_for(
    make: Callable[[str], ErasingServer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = make("one"), make("two")
    uid = one.registry.create_tenant("acme").uid
    two.servers.wanted([])

    async def refused() -> ServiceError:
        one.others._wait_s = 0.3
        with pytest.raises(ServiceError) as caught:
            await one.others.erase(uid)
        return caught.value

    error = asyncio.run(refused())
    assert (error.reason, "two" in error.message) == (Reason.STORE_UNAVAILABLE, True)
    monkeypatch.setattr("index.records.postgresql.servers._RUNS_S", 0.0)
    asyncio.run(one.others.erase(uid))
    assert "do not run, and erase at their next start: two" in caplog.text
    assert two.servers.wanted([uid])[1] == [uid]  # it will at its start


def test_two_servers_that_erase_at_the_same_time_do_not_wait_for_ever(make: Callable[[str], ErasingServer]) -> None:
    one, two = make("one"), make("two")
    uid = one.registry.create_tenant("acme").uid

    async def both() -> None:
        settling = [asyncio.create_task(server.others.settle_for_ever()) for server in (one, two)]
        await asyncio.sleep(0)
        await asyncio.gather(one.others.erase(uid), two.others.erase(uid))
        for task in settling:
            task.cancel()

    asyncio.run(both())
