"""A server of three processes on one data directory: what any of them acknowledged, all of them answer."""

from __future__ import annotations

import os
import random
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from afterimage.client import NewRecord
from afterimage.v1 import (
    collection_service_pb2,
    collection_service_pb2_grpc,
    erasure_service_pb2,
    erasure_service_pb2_grpc,
    record_service_pb2,
    record_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    server_info_service_pb2,
    server_info_service_pb2_grpc,
)
from tests.e2e.privacy.secrets_canary import memory_of
from tests.support.needs import missing
from tests.support.servers.hostile import OPTIONS, bearer
from tests.support.servers.server import Server, share, start_server

DIMENSION, PROCESSES, CONNECTIONS = 384, 3, 12
INTERRUPTED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class Connection:
    """One TCP connection, and so one process of the server."""

    def __init__(self, target: str, key: str) -> None:
        self.channel = grpc.insecure_channel(target, options=OPTIONS)
        self.metadata = bearer(key)
        self.records = record_service_pb2_grpc.RecordServiceStub(self.channel)
        self.searches = search_service_pb2_grpc.SearchServiceStub(self.channel)
        self.collections = collection_service_pb2_grpc.CollectionServiceStub(self.channel)
        self.erasures = erasure_service_pb2_grpc.ErasureServiceStub(self.channel)

    def create(self, name: str) -> None:
        request = collection_service_pb2.CreateCollectionRequest()
        request.collection.name = name
        self.collections.CreateCollection(request, metadata=self.metadata)

    def insert(self, name: str, *records: tuple[str, int, str]) -> None:
        """Records by id, number of their vector, and owner."""
        request = record_service_pb2.InsertRecordsRequest(collection=name)
        for record_id, seed, owner in records:
            added = request.records.add(record_id=record_id, vector=packed(seed))
            added.attributes["owner"].string_value = owner
        response = self.records.InsertRecords(request, metadata=self.metadata, timeout=30)
        assert not any(r.HasField("error") for r in response.results), response

    def delete(self, name: str, *record_ids: str) -> None:
        request = record_service_pb2.DeleteRecordsRequest(collection=name, record_ids=record_ids, force=True)
        self.records.DeleteRecords(request, metadata=self.metadata, timeout=30)

    def erase(self, name: str, *record_ids: str) -> None:
        request = erasure_service_pb2.EraseRecordsRequest(collection=name, record_ids=record_ids)
        self.erasures.EraseRecords(request, metadata=self.metadata, timeout=60)

    def nearest(self, name: str, seed: int, k: int = 1, filter_text: str = "") -> list[str]:
        request = search_service_pb2.SearchRequest(collection=name, k=k, filter=filter_text)
        request.query.add(vector=packed(seed))
        response = self.searches.Search(request, metadata=self.metadata, timeout=30)
        return [hit.record_id for hit in response.hits]

    def found(self, name: str, *record_ids: str) -> set[str]:
        request = record_service_pb2.GetRecordsRequest(collection=name, record_ids=record_ids)
        response = self.records.GetRecords(request, metadata=self.metadata, timeout=30)
        return {r.record_id for r in response.records}

    def count(self, name: str, filter_text: str = "") -> int:
        request = record_service_pb2.CountRecordsRequest(collection=name, filter=filter_text)
        return int(self.records.CountRecords(request, metadata=self.metadata, timeout=30).record_count)


def packed(seed: int) -> bytes:
    return bytes(struct.pack(f"<{DIMENSION}f", *np.random.default_rng(seed).normal(size=DIMENSION)))


def processes_of(server: Server) -> list[psutil.Process]:
    """The processes of the server that answer calls: first the writer."""
    children = [c for c in psutil.Process(server.process.pid).children() if _serves(c)]
    return sorted(children, key=lambda c: c.create_time())


def _serves(process: psutil.Process) -> bool:
    try:
        return "serve" in process.cmdline()
    except psutil.Error:  # it has ended
        return False


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = share(start_server(tmp_path_factory.mktemp("several"), "--processes", str(PROCESSES)))
    yield running
    assert running.stop() == 0
    assert "internal error" not in running.log.read_text()


@pytest.fixture
def connect(several: Server) -> Iterator[Callable[[str], list[Connection]]]:
    with ExitStack() as opened:

        def made(key: str) -> list[Connection]:
            found = [Connection(several.target, key) for _ in range(CONNECTIONS)]
            for one in found:
                opened.callback(one.channel.close)
            return found

        yield made


class Owner:
    """A client with records of its own, which it reads through other connections than it writes."""

    def __init__(self, number: int, connections: list[Connection], name: str) -> None:
        self.name, self.owner, self.chance = name, f"o{number}", random.Random(number)
        self.connections, self.held, self.ever = connections, dict[str, int](), set[str]()
        self.seeds = iter(range(number * 100_000, (number + 1) * 100_000))

    def any(self) -> Connection:
        return self.chance.choice(self.connections)

    def step(self) -> None:
        chance = self.chance.random()
        if chance < 0.6 or not self.held:
            self.insert()
        elif chance < 0.95:
            gone = self.chance.sample(sorted(self.held), min(2, len(self.held)))
            self.any().delete(self.name, *gone)
            for record_id in gone:
                del self.held[record_id]
        else:
            gone = [self.chance.choice(sorted(self.held))]
            self.any().erase(self.name, *gone)
            del self.held[gone[0]]
        self.check()

    def insert(self) -> None:
        made = {f"{self.owner}-{self.chance.randrange(30)}": next(self.seeds) for _ in range(3)}
        self.any().insert(self.name, *((i, seed, self.owner) for i, seed in made.items()))
        self.held |= made
        self.ever |= made.keys()

    def check(self) -> None:
        """Each read is of another connection, and sees all that was acknowledged."""
        assert self.any().count(self.name, f'owner = "{self.owner}"') == len(self.held)
        assert self.any().found(self.name, *self.ever) == self.held.keys()
        if self.held:
            record_id = self.chance.choice(sorted(self.held))
            assert self.any().nearest(self.name, self.held[record_id]) == [record_id]
            mine = self.any().nearest(self.name, 1, 50, f'owner = "{self.owner}"')
            assert set(mine) == self.held.keys()


def run_owners(count: int, steps: int, connections: list[Connection], name: str) -> list[Owner]:
    owners = [Owner(n, connections, name) for n in range(count)]

    def run(owner: Owner) -> None:
        for _ in range(steps):
            owner.step()

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(run, owners))
    return owners


def test_each_read_sees_each_write_that_any_process_acknowledged_before(
    several: Server, connect: Callable[[str], list[Connection]]
) -> None:
    connections = connect(several.key("owners"))
    connections[0].create("things")
    assert all(c.count("things") == 0 for c in connections)
    owners = run_owners(3, 12, connections, "things")
    total = sum(len(owner.held) for owner in owners)
    assert [c.count("things") for c in connections] == [total] * CONNECTIONS


@pytest.mark.long
def test_the_same_over_thousands_of_writes(several: Server, connect: Callable[[str], list[Connection]]) -> None:
    connections = connect(several.key("many-owners"))
    connections[0].create("things")
    run_owners(8, 500, connections, "things")


@pytest.mark.long
def test_no_process_has_a_vector_in_memory_once_its_erasure_is_certified(
    several: Server, connect: Callable[[str], list[Connection]]
) -> None:
    if os.geteuid() != 0:
        missing("the right to read another process's memory", "run the tests as root")
    connections = connect(several.key("forgotten"))
    gone, kept = 7_000_007, 7_000_008  # in no other collection of the server
    connections[0].create("things")
    connections[0].insert("things", ("gone", gone, "x"), ("kept", kept, "x"))
    assert [c.nearest("things", gone) for c in connections] == [["gone"]] * CONNECTIONS
    connections[1].erase("things", "gone")
    found = [_in_memory(process, gone, kept) for process in processes_of(several)]
    assert found == [{kept}] * PROCESSES


def test_an_erasure_is_certified_only_once_a_process_that_stood_still_has_forgotten(
    several: Server, connect: Callable[[str], list[Connection]]
) -> None:
    connections = connect(several.key("stood-still"))
    connections[0].create("things")
    connections[0].insert("things", *((str(n), n, "x") for n in range(3)))
    writer, still = processes_of(several)[:2]
    direct = next(c for c in connections if not _is_of_query_process(c, writer))
    still.suspend()
    try:
        request = erasure_service_pb2.EraseRecordsRequest(collection="things", record_ids=["1"])
        erase = partial(direct.erasures.EraseRecords, request, metadata=direct.metadata, timeout=2.0)
        assert _code(erase) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        assert direct.count("things") == 2
    finally:
        still.resume()
    receipt = direct.erasures.EraseRecords(request, metadata=direct.metadata, timeout=30.0).receipt
    assert receipt.records == 1


def test_changes_of_collections_and_keys_are_seen_by_the_next_call_in_each_process(
    several: Server, connect: Callable[[str], list[Connection]]
) -> None:
    key = several.key("changes")
    connections = connect(key)
    connections[0].create("a")
    connections[1].insert("a", ("1", 1, "x"), ("2", 2, "x"))
    assert [c.nearest("a", 1) for c in connections] == [["1"]] * CONNECTIONS
    connections[2].erase("a", "1")
    assert [c.nearest("a", 1) for c in connections] == [["2"]] * CONNECTIONS
    request = collection_service_pb2.DeleteCollectionRequest(name="a", force=True)
    connections[3].collections.DeleteCollection(request, metadata=connections[3].metadata)
    for connection in connections:
        assert _code(partial(connection.count, "a")) is grpc.StatusCode.NOT_FOUND
    connections[4].create("a")
    assert [c.count("a") for c in connections] == [0] * CONNECTIONS
    several.revoke("changes", key)
    for connection in connections:
        assert _code(partial(connection.count, "a")) is grpc.StatusCode.UNAUTHENTICATED
        assert _code(partial(connection.create, "b")) is grpc.StatusCode.UNAUTHENTICATED


def test_calls_fail_alike_in_each_process(several: Server, connect: Callable[[str], list[Connection]]) -> None:
    connections = connect(several.key("alike"))
    connections[0].create("things")
    wrong = {
        grpc.StatusCode.NOT_FOUND: lambda c: c.count("none"),
        grpc.StatusCode.INVALID_ARGUMENT: lambda c: c.count("things", "owner ="),
        grpc.StatusCode.ALREADY_EXISTS: lambda c: c.create("things"),
    }
    for code, call in wrong.items():
        errors = [_error(partial(call, connection)) for connection in connections]
        assert {e.code() for e in errors} == {code}
        assert len({e.details() for e in errors}) == 1
        assert all(dict(e.trailing_metadata()).get("grpc-status-details-bin") for e in errors)


def test_a_call_is_counted_and_logged_once_whichever_process_it_reaches(several: Server) -> None:
    """Without a key it is refused where it arrives; with one it is forwarded."""
    key, request = bearer(several.key("counted")), server_info_service_pb2.GetServerInfoRequest()
    for number in range(CONNECTIONS):
        with grpc.insecure_channel(several.target, options=OPTIONS) as channel:
            call = server_info_service_pb2_grpc.ServerInfoServiceStub(channel).GetServerInfo
            refused = _code(partial(call, request, metadata=(("x-request-id", f"none-{number}"),)))
            assert refused is grpc.StatusCode.UNAUTHENTICATED
            call(request, metadata=(*key, ("x-request-id", f"key-{number}")))
    names = [f'"request_id": "{kind}-{number}"' for kind in ("none", "key") for number in range(CONNECTIONS)]
    _until(lambda: all(name in several.log.read_text() for name in names))
    assert [several.log.read_text().count(name) for name in names] == [1] * len(names)


def test_a_killed_query_process_loses_only_its_calls_and_is_started_again(
    several: Server, connect: Callable[[str], list[Connection]]
) -> None:
    connections = connect(several.key("query-killed"))
    connections[0].create("things")
    connections[0].insert("things", *((str(n), n, "x") for n in range(20)))
    victim = processes_of(several)[1]
    stop, failures, answered = threading.Event(), list[grpc.RpcError](), [0]

    def ask(connection: Connection) -> None:
        while not stop.is_set():
            try:
                assert connection.nearest("things", 7) == ["7"]
                answered[0] += 1
            except grpc.RpcError as error:
                failures.append(error)

    with ThreadPoolExecutor(CONNECTIONS + 1) as threads:
        asking = [threads.submit(ask, c) for c in connections]
        threads.submit(stop.wait, 90).add_done_callback(lambda _: stop.set())
        _until(lambda: answered[0] > 50)
        victim.kill()
        _until(lambda: len(_alive(several)) == PROCESSES and victim.pid not in [p.pid for p in _alive(several)])
        before = answered[0]
        _until(lambda: answered[0] > before + 50)
        stop.set()
        for one in asking:
            one.result()
    assert {e.code() for e in failures} <= set(INTERRUPTED)
    assert [c.count("things") for c in connect(several.key("query-killed"))] == [20] * CONNECTIONS


@pytest.mark.long
def test_a_killed_writer_loses_nothing_acknowledged_and_searches_go_on(
    several: Server, connect: Callable[[str], list[Connection]]
) -> None:
    connections = connect(several.key("writer-killed"))
    connections[0].create("things")
    connections[0].insert("things", ("first", 0, "x"))
    assert [c.count("things") for c in connections] == [1] * CONNECTIONS
    writer = processes_of(several)[0]
    queries = [c for c in connections if _is_of_query_process(c, writer)]
    assert queries
    stop, acknowledged, refused = threading.Event(), set[str](), list[grpc.RpcError]()

    def write(number: int) -> None:
        for n in range(10_000):
            if stop.is_set():
                return
            try:
                queries[number % len(queries)].insert("things", (f"{number}-{n}", n + 1, "x"))
                acknowledged.add(f"{number}-{n}")
            except grpc.RpcError as error:
                if error.code() not in INTERRUPTED:
                    raise
                refused.append(error)

    with ThreadPoolExecutor(2) as threads:
        writing = [threads.submit(write, n) for n in range(2)]
        _until(lambda: len(acknowledged) > 10)
        writer.kill()
        _until(lambda: bool(refused))
        assert queries[0].nearest("things", 0) == ["first"]  # while nobody writes
        before = len(acknowledged)
        _until(lambda: len(acknowledged) > before + 10)
        stop.set()
        for one in writing:
            one.result()
    found = connect(several.key("writer-killed"))
    for connection in found:
        assert connection.found("things", *sorted(acknowledged)[:1000]) >= set(sorted(acknowledged)[:1000])
        assert connection.count("things") >= len(acknowledged) + 1


@pytest.mark.long
def test_a_server_that_stops_finishes_its_calls_and_keeps_the_counts_of_all_processes(tmp_path: Path) -> None:
    server = start_server(tmp_path, "--processes", "2")
    key = server.key("counts")
    connections = [Connection(server.target, key) for _ in range(8)]
    connections[0].create("things")
    connections[0].insert("things", *((str(n), n, "x") for n in range(10)))
    for connection in connections:
        for n in range(5):
            assert connection.nearest("things", n) == [str(n)]
    with ThreadPoolExecutor(8) as threads:
        last = [threads.submit(c.nearest, "things", 3, 10) for c in connections]
        assert server.stop() == 0
        for one in last:
            assert isinstance(one.exception(), grpc.RpcError | None)
    for connection in connections:
        connection.channel.close()
    again = start_server(tmp_path)
    with again.client(key) as client:
        days = client.search_report("things").days
        assert sum(day.search_count for day in days) >= 5 * 8
        client.insert("things", [NewRecord("more", vector=[1.0] * DIMENSION)])
    assert again.stop() == 0


def _in_memory(process: psutil.Process, *seeds: int) -> set[int]:
    """The seeds of which a process holds a part of a record's row."""
    parts = {}
    for seed in seeds:
        vector = np.frombuffer(packed(seed), "<f4")
        row = (vector / np.linalg.norm(vector)).astype("<f2").tobytes()
        parts[seed] = [row[at : at + 32] for at in (0, 256, 512)]
    found = set[int]()
    for block in memory_of(process.pid):
        found |= {seed for seed, some in parts.items() if any(part in block for part in some)}
    return found


def _is_of_query_process(connection: Connection, writer: psutil.Process) -> bool:
    """Whether the connection leads to another process than the writer, which stands still meanwhile."""
    writer.suspend()
    try:
        request = record_service_pb2.CountRecordsRequest(collection="things")
        connection.records.CountRecords(request, metadata=connection.metadata, timeout=1.0)
        return True
    except grpc.RpcError:
        return False
    finally:
        writer.resume()


def _alive(server: Server) -> list[psutil.Process]:
    return processes_of(server)


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("not within a minute")


def _error(call: Callable[[], object]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def _code(call: Callable[[], object]) -> grpc.StatusCode:
    code: grpc.StatusCode = _error(call).code()
    return code
