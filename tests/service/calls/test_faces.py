"""What surrounds a call is the same over gRPC and in process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from afterimage.v1 import collection_service_pb2 as collections_pb
from afterimage.v1 import server_info_service_pb2 as info_pb
from service.calls.method import Caller
from service.calls.methods import METHODS
from service.errors import Code, Reason, ServiceError
from service.tenancy.apikeys import Scope, key_id_of
from service.tenancy.stored_keys import NewKey
from tests.support.servers.faces import LIMITS, WORKER_SECRET, Faces

INFO = "/afterimage.v1.ServerInfoService/GetServerInfo"
CREATE = "/afterimage.v1.CollectionService/CreateCollection"
DUPLICATES = "/afterimage.v1.SearchService/FindDuplicates"
IMPORT = "/afterimage.v1.RecordService/ImportRecords"
UNKNOWN_FIELD = b"\xf8\xff\x7f\x01"  # field 262143, a number


@pytest.fixture
async def faces(tmp_path: Path) -> AsyncIterator[Faces]:
    async with Faces(tmp_path) as made:
        yield made


def bearer(faces: Faces, *scopes: Scope, **wanted: Any) -> list[tuple[str, str]]:
    key = faces.registry.api_keys.create(faces.uid, NewKey(frozenset(scopes or Scope), **wanted))
    return [("authorization", f"Bearer {key}")]


def allowed(faces: Faces, path: str, key: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers with which the call is let in."""
    worker = METHODS[path].row.caller is Caller.WORKER
    return [("authorization", f"Worker {WORKER_SECRET}")] if worker else key


def reason_of(outcome: Any) -> str:
    """The reason in the details of an error."""
    for detail in outcome.error.details:
        if detail.type_url.endswith("ErrorInfo"):
            return Reason[_info(detail).reason].name
    return ""


def _info(detail: Any) -> Any:
    from google.rpc.error_details_pb2 import ErrorInfo

    return ErrorInfo.FromString(detail.value)


async def test_every_call_is_refused_without_a_key_with_another_scope_and_with_several_keys(faces: Faces) -> None:
    everything = bearer(faces)
    for path, method in METHODS.items():
        wanted = method.row.caller
        cases = {"KEY_MISSING": [], "KEY_INVALID": [*everything, *everything]}
        if wanted is Caller.WORKER:
            cases["SCOPE_MISSING"] = everything
        elif isinstance(wanted, Scope):
            cases["SCOPE_MISSING"] = bearer(faces, *(s for s in Scope if s is not wanted))
        for reason, headers in cases.items():
            refused = await faces.both(path, method.request(), headers=headers)
            assert (reason_of(refused), refused.responses) == (reason, ()), path


async def test_every_call_is_answered_and_refuses_unknown_fields(faces: Faces) -> None:
    everything = bearer(faces)
    for path, method in METHODS.items():
        headers = allowed(faces, path, everything)
        assert len((await faces.both(path, method.request(), headers=headers)).responses) == 1, path
        unknown = method.request()
        unknown.MergeFromString(UNKNOWN_FIELD)
        refused = await faces.both(path, unknown, headers=headers)
        expected = "" if method.row.caller is Caller.WORKER else "FIELD_UNKNOWN"
        assert reason_of(refused) == expected, path


async def test_a_revoked_key_and_a_key_that_has_expired_are_refused_at_the_next_call(faces: Faces) -> None:
    headers, expired = bearer(faces), bearer(faces, expires_ms=1)
    assert len((await faces.both(INFO, info_pb.GetServerInfoRequest(), headers=headers)).responses) == 1
    faces.registry.api_keys.revoke(faces.uid, key_id_of(headers[0][1].removeprefix("Bearer ")))
    for given, reason in ((headers, "KEY_REVOKED"), (expired, "KEY_EXPIRED")):
        assert reason_of(await faces.both(INFO, info_pb.GetServerInfoRequest(), headers=given)) == reason


async def test_every_error_of_a_handler_arrives_with_its_details(faces: Faces) -> None:
    headers = bearer(faces)
    for reason in (r for r in Reason if r.code is not Code.INTERNAL):  # those are logged with all their frames

        async def fail(request: Any, caller: Any, reason: Reason = reason) -> None:
            raise ServiceError(reason, "what went wrong", field="the field", retry_delay_s=1.5)

        faces.script = fail
        for path in (INFO, DUPLICATES):
            failed = await faces.both(path, METHODS[path].request(), headers=headers)
            assert (reason_of(failed), failed.error.message) == (reason.name, "what went wrong")
            assert failed.error.code == int(reason.code)


async def test_a_fault_of_the_server_is_reported_without_its_cause(faces: Faces) -> None:
    async def fail(request: Any, caller: Any) -> None:
        raise KeyError("a secret that nobody may see")

    faces.script = fail
    failed = await faces.both(INFO, info_pb.GetServerInfoRequest(), headers=bearer(faces))
    assert reason_of(failed) == "INTERNAL"
    assert b"secret" not in failed.status


async def test_a_call_that_takes_too_long_ends_at_the_deadline_of_the_server(tmp_path: Path) -> None:
    async def wait(request: Any, caller: Any) -> None:
        await asyncio.Event().wait()

    async with Faces(tmp_path, deadline_s=0.3) as faces:
        faces.script = wait
        assert reason_of(await faces.both(INFO, info_pb.GetServerInfoRequest(), headers=bearer(faces))) == "DEADLINE"


async def test_a_call_that_sends_nothing_is_ended_and_one_without_a_message_is_refused(tmp_path: Path) -> None:
    async with Faces(tmp_path, message_s=0.2) as faces:
        headers = bearer(faces)
        assert reason_of(await faces.both(INFO, headers=headers)) == "ARGUMENT_INVALID"
        for path in (INFO, DUPLICATES, IMPORT):
            assert reason_of(await faces.both(path, headers=headers, open_end=True)) == "MESSAGE_LATE", path


async def test_answers_that_are_too_large_are_refused(faces: Faces) -> None:
    async def much(request: Any, caller: Any) -> Any:
        return info_pb.GetServerInfoResponse(version="x" * (LIMITS.message_bytes + 1))

    faces.script = much
    assert (
        reason_of(await faces.both(INFO, info_pb.GetServerInfoRequest(), headers=bearer(faces))) == "ANSWER_TOO_LARGE"
    )


async def test_a_message_that_is_too_large_is_refused_in_process_and_by_grpc(faces: Faces) -> None:
    request = collections_pb.GetCollectionRequest(name="x" * (LIMITS.message_bytes + 1))
    path = "/afterimage.v1.CollectionService/GetCollection"
    in_process = await faces.in_process(path, [request], bearer(faces))
    assert reason_of(in_process) == "ARGUMENT_INVALID"
    assert (await faces.grpc(path, [request], bearer(faces))).code == int(Code.RESOURCE_EXHAUSTED)
    assert faces.limiter.bytes.empty


async def test_a_closed_gate_and_a_rate_refuse_calls(faces: Faces) -> None:
    slow = [bearer(faces, max_requests_per_s=0.001) for _ in faces.faces]
    for face, headers in zip(faces.faces.values(), slow, strict=True):
        outcomes = [reason_of(await face(INFO, [info_pb.GetServerInfoRequest()], headers)) for _ in range(3)]
        assert outcomes.count("RATE_EXCEEDED") >= 1
        assert set(outcomes) <= {"", "RATE_EXCEEDED"}
    faces.gate.open = False
    closed = await faces.both(INFO, info_pb.GetServerInfoRequest(), headers=bearer(faces))
    assert reason_of(closed) == "SHUTTING_DOWN"


async def test_callers_have_the_same_places_whichever_way_they_come_and_give_them_back(faces: Faces) -> None:
    headers, opened = bearer(faces), asyncio.Event()

    async def wait(request: Any, caller: Any) -> None:
        await opened.wait()

    faces.script, counts = wait, []
    for face in faces.faces.values():
        opened.clear()
        calls = [asyncio.create_task(face(DUPLICATES, [METHODS[DUPLICATES].request()], headers)) for _ in range(12)]
        async with asyncio.timeout(60):
            while faces.limiter.streams.used + sum(c.done() for c in calls) < len(calls):
                await asyncio.wait(calls, timeout=0.01)
        opened.set()
        counts.append(Counter([reason_of(o) for o in await asyncio.gather(*calls)]))
        while not (faces.limiter.streams.empty and faces.limiter.bytes.empty):
            await asyncio.sleep(0)
    assert counts[0] == counts[1]
    assert counts[0]["OVERLOADED"] > 0
    assert counts[0][""] > 0


async def test_changes_are_recorded_alike_with_their_intents_outcomes_and_failures(faces: Faces) -> None:
    headers, entries = bearer(faces), []
    request = collections_pb.CreateCollectionRequest(collection=collections_pb.Collection(name="shoes"))
    outcomes: list[Any] = [
        collections_pb.CreateCollectionResponse(collection=collections_pb.Collection(name="shoes", encoder_id="e")),
        ServiceError(Reason.COLLECTION_EXISTS, "it exists"),
    ]
    for face in faces.faces.values():
        before = len(faces.audit.of(faces.uid).entries())
        for outcome in outcomes:

            async def end(request: Any, caller: Any, outcome: Any = outcome) -> Any:
                if isinstance(outcome, ServiceError):
                    raise outcome
                return outcome

            faces.script = end
            await face(CREATE, [request], headers)
        entries.append(
            [(e.actor, e.action, _without_number(e)) for e, _ in faces.audit.of(faces.uid).entries()[before:]]
        )
    assert entries[0] == entries[1]
    assert [action for _, action, _ in entries[0]] == ["intent", "collection.create", "intent", "outcome"]
    assert {actor for actor, _, _ in entries[0]} == {f"key:{key_id_of(headers[0][1].removeprefix('Bearer '))}"}


def _without_number(entry: Any) -> dict[str, Any]:
    return {name: value for name, value in entry.details.items() if not isinstance(value, int)}


async def test_whoever_stops_to_read_a_call_in_process_ends_it(faces: Faces) -> None:
    headers, cancelled = bearer(faces), asyncio.Event()

    async def wait(request: Any, caller: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    faces.script = wait
    call = asyncio.create_task(faces.in_process(DUPLICATES, [METHODS[DUPLICATES].request()], headers))
    while not faces.limiter.streams.used:
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(cancelled.wait(), 20)
    assert faces.limiter.streams.empty
