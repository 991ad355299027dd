"""Callers of a server that send no message, or send their first one late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from google.protobuf.message import Message

from afterimage.v1 import record_service_pb2 as records_pb
from afterimage.v1 import server_info_service_pb2 as info_pb
from tests.service.calls.test_faces import IMPORT, INFO, bearer, reason_of
from tests.support.servers.faces import LIMITS, Faces

REQUEST = info_pb.GetServerInfoRequest()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_key_whose_calls_send_nothing_is_delayed_and_other_keys_are_not(tmp_path: Path) -> None:
    async with Faces(tmp_path, message_s=0.3, calls=400, in_flight_bytes=1 << 30) as faces:
        idle_key, other_key = bearer(faces), bearer(faces)
        silent = await asyncio.gather(*(faces.grpc(INFO, (), idle_key, open_end=True) for _ in range(130)))
        assert {reason_of(o) for o in silent} == {"MESSAGE_LATE"}
        delayed = asyncio.create_task(faces.grpc(INFO, [REQUEST], idle_key))
        await asyncio.sleep(0)
        assert (await faces.grpc(INFO, [REQUEST], other_key)).code == 0
        assert not delayed.done()
        assert (await delayed).code == 0  # it is only delayed: the call itself is answered


async def test_a_stream_whose_first_message_is_late_holds_room_for_one_message_and_is_answered(tmp_path: Path) -> None:
    async with Faces(tmp_path) as faces:
        started = asyncio.Event()

        async def late() -> AsyncIterator[Message]:
            await started.wait()
            yield records_pb.ImportRecordsRequest(collection="shoes")

        call = asyncio.create_task(faces.grpc_stream(IMPORT, late(), bearer(faces)))
        await until(lambda: faces.limiter.bytes.used == LIMITS.message_bytes)
        started.set()
        outcome = await call
        assert (outcome.code, len(outcome.responses)) == (0, 1)
        await until(lambda: faces.limiter.bytes.empty and faces.limiter.streams.empty)


async def test_late_streams_that_would_hold_more_than_their_share_are_refused(tmp_path: Path) -> None:
    async with Faces(tmp_path, message_s=0.3) as faces:
        headers = bearer(faces)
        streams = await asyncio.gather(*(faces.grpc(IMPORT, (), headers, open_end=True) for _ in range(6)))
        reasons = sorted(reason_of(o) for o in streams)
        room = LIMITS.in_flight_bytes // LIMITS.message_bytes
        assert reasons.count("MESSAGE_LATE") <= room
        assert reasons.count("OVERLOADED") == len(streams) - reasons.count("MESSAGE_LATE") >= len(streams) - room
        await until(lambda: faces.limiter.bytes.empty and faces.limiter.streams.empty)


async def test_a_further_message_that_is_late_ends_the_stream_after_its_responses(tmp_path: Path) -> None:
    async with Faces(tmp_path, idle_s=0.2) as faces:
        request = records_pb.ImportRecordsRequest(collection="shoes")
        outcome = await faces.grpc(IMPORT, [request], bearer(faces), open_end=True)
        assert (reason_of(outcome), len(outcome.responses)) == ("MESSAGE_LATE", 1)
