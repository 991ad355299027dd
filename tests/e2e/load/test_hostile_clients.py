"""Clients that occupy resources of the server: others are still served, and the resources are freed in time."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from afterimage.client import Client, InvalidArgument, NewRecord, Term
from afterimage.v1 import record_service_pb2 as pb
from tests.support.servers.hostile import (
    CHECK,
    COUNT,
    IMPORT,
    INFO,
    LIST,
    WATCH,
    bearer,
    connections,
    hold,
    refusal,
    resident_bytes,
)
from tests.support.servers.server import Server, share, start_server

RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
HELD = 150  # more calls than a server has places for
MIB = 1 << 20
SHORT = {
    "AFTERIMAGE_MESSAGE_TIMEOUT_S": "1", "AFTERIMAGE_STREAM_IDLE_TIMEOUT_S": "1", "AFTERIMAGE_SEND_TIMEOUT_S": "1",
    "AFTERIMAGE_MIN_PING_INTERVAL_S": "0.1", "AFTERIMAGE_MAX_FAILED_AUTHS_PER_S": "1",
    "AFTERIMAGE_MAX_IN_FLIGHT_BYTES": str(256 * MIB),
}  # fmt: skip


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with time limits of one second."""
    running = share(start_server(tmp_path_factory.mktemp("impatient"), environment=SHORT))
    yield running
    assert running.stop() == 0


async def health(target: str) -> int:
    async with connections(target, 1) as (channel,):
        check = channel.unary_unary(CHECK, response_deserializer=health_pb2.HealthCheckResponse.FromString)
        answer = await check(health_pb2.HealthCheckRequest().SerializeToString(), timeout=20)
        return int(answer.status)


def works(client: Client, collection: str) -> None:
    """A tenant reads and writes, by call and by stream."""
    done = list(
        client.import_records(collection, [NewRecord(str(n), vector=bytes([0, 0, 128, 63] * 384)) for n in range(3)])
    )
    assert [r.error for r in done] == [None] * 3
    assert client.count_records(collection) == 3


async def test_calls_without_a_key_that_are_held_open_stop_nobody(server: Server, client: Client) -> None:
    client.create_collection("c")
    async with connections(server.target, 3) as channels:
        watching = hold(channels[:2], WATCH, HELD)
        await asyncio.gather(*(w.write(b"") for w in watching), return_exceptions=True)
        silent = hold(channels[:2], CHECK, HELD)
        keyless = hold(channels[2:], COUNT, HELD)
        codes = {await call.code() for call in keyless}
        # gRPC itself says UNAVAILABLE to calls beyond those that one connection may have.
        assert codes - {grpc.StatusCode.UNAVAILABLE} == {grpc.StatusCode.UNAUTHENTICATED}
        assert await health(server.target) == health_pb2.HealthCheckResponse.SERVING
        await asyncio.to_thread(works, client, "c")
        for call in (*watching, *silent):
            call.cancel()


async def test_idle_streams_of_one_tenant_leave_room_for_another(server: Server, client: Client) -> None:
    client.create_collection("c")
    async with connections(server.target, 4) as channels:
        held = hold(channels, IMPORT, 2 * HELD, server.key("hog"))
        refused = [await refusal(call) for call in await ended(held, 20)]
        assert {(code, reason) for code, reason, _ in refused} == {(RESOURCE_EXHAUSTED, "OVERLOADED")}
        assert all(delay > 0 for _, _, delay in refused)
        await asyncio.to_thread(works, client, "c")
        assert await health(server.target) == health_pb2.HealthCheckResponse.SERVING


async def ended(calls: list[Any], at_least: int) -> list[Any]:
    """The ended calls, once there are enough."""
    async with asyncio.timeout(30):
        waiting = {asyncio.ensure_future(call.code()): call for call in calls}
        done: set[Any] = set()
        while len(done) < at_least:
            more, _ = await asyncio.wait(waiting.keys() - done, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        for task in waiting.keys() - done:
            task.cancel()
        return [waiting[task] for task in done]


async def test_large_messages_without_a_key_are_not_read(server: Server) -> None:
    before, message = resident_bytes(server.process.pid), bytes(19 * MIB)
    async with connections(server.target, 2) as channels:
        calls = [channels[n % 2].unary_unary(COUNT)(message) for n in range(30)]
        assert {await call.code() for call in calls} == {grpc.StatusCode.UNAUTHENTICATED}
    assert resident_bytes(server.process.pid) - before < 150 * MIB


async def test_a_call_with_two_keys_is_refused(server: Server) -> None:
    key = server.key("two-keys")
    async with connections(server.target, 1) as (channel,):
        for headers in (bearer(key) * 2, bearer(key) + bearer("other")):
            call = channel.unary_unary(INFO)(b"", metadata=headers)
            assert await refusal(call) == (grpc.StatusCode.UNAUTHENTICATED, "KEY_INVALID", 0.0)
        assert await channel.unary_unary(INFO)(b"", metadata=bearer(key))


async def test_a_message_that_does_not_come_ends_the_call_and_one_that_is_none_is_refused(impatient: Server) -> None:
    key = impatient.key("late")
    async with connections(impatient.target, 1) as (channel,):
        late = hold([channel], COUNT, 1, key) + hold([channel], IMPORT, 1, key)
        for call in late:
            assert (await refusal(call))[:2] == (grpc.StatusCode.DEADLINE_EXCEEDED, "MESSAGE_LATE")
        nothing = channel.stream_unary(COUNT)(metadata=bearer(key))
        await nothing.done_writing()
        assert (await refusal(nothing))[1] == "ARGUMENT_INVALID"
        assert (await refusal(channel.unary_unary(COUNT)(b"\xff\xff", metadata=bearer(key))))[1] == "ARGUMENT_INVALID"


async def test_a_stream_whose_messages_stop_is_ended_and_what_it_sent_stays(impatient: Server) -> None:
    key = impatient.key("idle")
    with impatient.client(key) as client:
        client.create_collection("c")
        async with connections(impatient.target, 1) as (channel,):
            stream = channel.stream_stream(IMPORT)(metadata=bearer(key))
            request = pb.ImportRecordsRequest(collection="c")
            request.records.add(record_id="1", vector=bytes([0, 0, 128, 63] * 384))
            await stream.write(request.SerializeToString())
            assert await stream.read()
            assert (await refusal(stream))[1] == "MESSAGE_LATE"
        assert client.count_records("c") == 1


async def test_failed_authentications_of_an_address_are_limited_and_a_key_that_works_is_not(impatient: Server) -> None:
    key = impatient.key("good")
    async with connections(impatient.target, 1) as (channel,):
        info = channel.unary_unary(INFO)
        refused = [await refusal(info(b"", metadata=bearer("wrong"))) for _ in range(60)]
        assert refused[0] == (grpc.StatusCode.UNAUTHENTICATED, "KEY_INVALID", 0.0)
        code, reason, delay = refused[-1]
        assert (code, reason) == (RESOURCE_EXHAUSTED, "AUTHENTICATIONS_EXCEEDED")
        assert 0 < delay < 3
        assert await info(b"", metadata=bearer(key))


PINGING = (  # once a second, which is as often as gRPC's own client does it
    ("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_timeout_ms", 20_000), ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0), ("grpc.http2.min_time_between_pings_ms", 1000),
)  # fmt: skip


async def test_pings_at_the_pace_that_is_allowed_do_not_cut_a_stream(impatient: Server) -> None:
    async with connections(impatient.target, 1, *PINGING) as (channel,):
        watch = hold([channel], WATCH, 1)[0]
        await watch.write(b"")
        assert await watch.read()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4.5):  # of four pings gRPC by itself takes the third for abuse
                await watch.read()


async def test_pings_that_come_faster_cost_their_connection(server: Server) -> None:
    async with connections(server.target, 1, *PINGING) as (channel,):
        watch = hold([channel], WATCH, 1)[0]
        await watch.write(b"")
        assert await watch.read()
        async with asyncio.timeout(30):
            assert await watch.code() is grpc.StatusCode.UNAVAILABLE


LARGE = {f"a{n}": "x" * 1000 for n in range(60)}  # 60 KB in each record


def with_large_records(client: Client, count: int, name: str = "large") -> None:
    """A collection of valid records with large attributes."""
    client.create_collection(name)
    vector = bytes([0, 0, 128, 63] * 384)
    records = [NewRecord(str(n), vector=vector, attributes=LARGE) for n in range(count)]
    assert [r.error for r in client.import_records(name, records)] == [None] * count


def test_large_records_are_listed_page_by_page_and_what_no_message_can_hold_says_what_to_change(client: Client) -> None:
    with_large_records(client, 400)
    first, token = client.list_records_page("large", page_size=1000)
    assert 0 < sum(len(str(r.attributes)) for r in first) < 4 * MIB
    assert token
    listed = [r.record_id for r in client.records("large", filter='a1 != "y"', include_vectors=True)]
    assert sorted(listed, key=int) == [str(n) for n in range(400)]
    assert len(client.search("large", Term(record_id="1"), k=50).hits) == 50
    assert len(client.search("large", Term(record_id="1"), k=390, fields=["a1"]).hits) == 390
    for ask in (
        lambda: client.search("large", Term(record_id="1"), k=399),
        lambda: client.get_records("large", [str(n) for n in range(400)]),
    ):
        with pytest.raises(InvalidArgument, match="request less") as caught:
            ask()
        assert caught.value.reason == "ANSWER_TOO_LARGE"


async def test_who_does_not_read_answers_holds_a_bounded_part_of_the_memory_and_is_dropped(impatient: Server) -> None:
    with impatient.client(impatient.key("slow")) as client:
        await asyncio.to_thread(with_large_records, client, 120)
    key, other = impatient.key("slow"), impatient.key("patient")
    request = pb.ListRecordsRequest(collection="large", page_size=1000).SerializeToString()
    before = resident_bytes(impatient.process.pid)
    async with connections(impatient.target, 4, ("grpc.http2.bdp_probe", 0)) as channels:  # takes 64 KiB unread
        calls = [channels[n % 4].stream_stream(LIST)(metadata=bearer(key)) for n in range(120)]
        await asyncio.gather(*(call.write(request) for call in calls), return_exceptions=True)
        with impatient.client(other) as client:
            client.create_collection("c")
            await asyncio.to_thread(works, client, "c")
        assert resident_bytes(impatient.process.pid) - before < 600 * MIB
        async with asyncio.timeout(60):
            while "afterimage_in_flight_bytes 0.0" not in metrics(impatient):
                await asyncio.sleep(0.1)
        assert "afterimage_peers_dropped_total 0.0" not in metrics(impatient)
        with impatient.client(key) as client:
            assert len(client.list_records_page("large")[0]) > 10


async def test_a_connection_that_makes_calls_without_a_key_on_and_on_is_closed_and_others_are_not(
    impatient: Server,
) -> None:
    key = impatient.key("good")
    async with connections(impatient.target, 2) as (hostile, shared):
        info = shared.unary_unary(INFO)
        assert await info(b"", metadata=bearer(key))
        async with asyncio.timeout(60):
            while "afterimage_connections_closed_total 0.0" in metrics(impatient):
                checks = [hostile.unary_unary(CHECK)(b"") for _ in range(50)]
                codes = {await check.code() for check in checks}
                assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, RESOURCE_EXHAUSTED}
        # A proxy's connection, which has calls with a key: those without are refused, and it stays.
        watch = hold([shared], IMPORT, 1, key)[0]
        told = [await shared.unary_unary(CHECK)(b"").code() for _ in range(10)]
        assert told[:2] == [grpc.StatusCode.OK] * 2
        assert set(told[2:]) <= {grpc.StatusCode.OK, RESOURCE_EXHAUSTED}
        assert await info(b"", metadata=bearer(key))
        assert not watch.done()
        watch.cancel()
        assert await health(impatient.target) == health_pb2.HealthCheckResponse.SERVING


def metrics(server: Server) -> str:
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=20) as answer:
        return answer.read().decode()
