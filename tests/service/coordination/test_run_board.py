"""The run board with a real Redis: one worker at a time, increasing epochs, and no permanent leases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from service.coordination import keys
from service.coordination.client import Coordinator
from service.coordination.embedded import EmbeddedRedis
from service.coordination.faults import error_class
from service.coordination.run_board import BoardAway, RunBoard, RunRef
from service.runtime.clock import now_ms
from tests.service.coordination.test_redis import embedded  # noqa: F401 - a fixture

ONE, TWO = RunRef("t", "=shoes", "1"), RunRef("t", "=shoes", "2")
OTHER = RunRef("t", "=hats", "3")


@pytest.fixture
async def coordinator(embedded: EmbeddedRedis) -> AsyncIterator[Coordinator]:  # noqa: F811
    made = Coordinator(embedded.url)
    yield made
    await made.close()


@pytest.fixture
def board(coordinator: Coordinator) -> RunBoard:
    return coordinator.board("server")


async def test_runs_of_one_collection_are_worked_on_one_at_a_time(board: RunBoard) -> None:
    for ref in (ONE, TWO, OTHER):
        await board.submit(ref)
    taken = [await board.take("a"), await board.take("b"), await board.take("c")]
    assert {t[0].collection_id for t in taken if t} == {"=shoes", "=hats"}
    assert taken[2] is None
    first = next(t[0] for t in taken if t and t[0].collection_id == "=shoes")
    await board.release(first, "a" if taken[0] and taken[0][0] == first else "b")
    again = await board.take("c")
    assert again is not None
    assert {first, again[0]} == {ONE, TWO}
    assert again[1] == 2  # the epoch of the collection grew


async def test_a_run_is_taken_no_sooner_than_after_its_delay(board: RunBoard, coordinator: Coordinator) -> None:
    before_ms = now_ms()
    await board.submit(ONE, 60.0)
    due_ms = await coordinator._redis.zscore(keys.queue("server"), str(ONE))
    assert due_ms is not None
    assert before_ms + 59_000 < due_ms < now_ms() + 61_000
    assert await board.take("a") is None


async def test_ten_workers_share_a_run_among_none_but_one(board: RunBoard) -> None:
    await board.submit(ONE)
    taken = await asyncio.gather(*(board.take(f"w{n}") for n in range(10)))
    assert len([t for t in taken if t is not None]) == 1


async def test_a_run_is_queued_once_however_often_it_is_submitted(board: RunBoard) -> None:
    await board.submit(ONE)
    await board.submit(ONE)
    assert await board.take("a") is not None
    await board.submit(ONE)  # it is worked on
    await board.release(ONE, "a")
    assert await board.take("a") is None


async def test_only_the_holder_can_renew_or_release_a_lease(board: RunBoard) -> None:
    await board.submit(ONE)
    await board.take("a")
    assert await board.renew(ONE, "a", {"done": 5})
    assert await board.progress(ONE.run_id) == {"done": 5}
    assert not await board.renew(ONE, "b", {"done": 9})
    await board.release(ONE, "b")
    assert await board.renew(ONE, "a", {})


async def test_a_run_whose_worker_has_gone_is_taken_by_another_with_a_higher_epoch(
    board: RunBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LEASE_MS", 50)
    await board.submit(ONE)
    await board.take("a")
    async with asyncio.timeout(5):
        while await board.reap() != [ONE]:
            await asyncio.sleep(0.01)
    assert await board.take("b") == (ONE, 2)
    assert not await board.renew(ONE, "a", {})


async def test_what_a_killed_worker_held_returns_at_its_next_start(board: RunBoard) -> None:
    for ref in (ONE, OTHER):
        await board.submit(ref)
    await board.take("a")
    kept = await board.take("b")
    assert kept is not None
    returned = await board.return_all("a")
    assert len(returned) == 1
    assert kept[0] not in returned
    assert (await board.take("a") or (None,))[0] == returned[0]


async def test_an_epoch_is_lifted_above_what_the_store_has_seen(board: RunBoard, coordinator: Coordinator) -> None:
    assert await board.raise_epoch(ONE, 7) == 8
    assert await board.raise_epoch(ONE, 3) == 8
    await coordinator._redis.flushall()
    assert await board.raise_epoch(ONE, 8) == 9


async def test_everything_may_be_wiped_at_any_time(board: RunBoard, coordinator: Coordinator) -> None:
    await board.submit(ONE)
    await board.take("a")
    await coordinator._redis.flushall()
    assert not await board.renew(ONE, "a", {})
    await board.submit(ONE)
    assert (await board.take("b") or (None,))[0] == ONE


async def test_a_delayed_run_and_a_source_that_is_not_due_wait(board: RunBoard) -> None:
    await board.submit(ONE, 3600)
    assert await board.take("a") is None
    await board.set_due("t/s", 4_000_000_000_000)
    await board.set_due("t/now", 1)
    assert await board.due(now_ms=2) == ["t/now"]
    await board.set_due("t/now", 0)
    assert await board.due_times() == {"t/s": 4_000_000_000_000}


async def test_a_redis_that_is_away_says_so_and_grants_nothing(board: RunBoard, embedded: EmbeddedRedis) -> None:  # noqa: F811
    await board.submit(ONE)
    await embedded.stop()
    with pytest.raises(BoardAway):
        await board.take("a")
    with pytest.raises(BoardAway):
        await board.renew(ONE, "a", {})
    await embedded.start()
    assert await board.take("a") is not None


async def test_leases_are_renewed_when_memory_is_full(board: RunBoard, coordinator: Coordinator) -> None:
    await board.submit(ONE)
    await board.take("a")
    await coordinator._redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(BoardAway):
            await board.submit(TWO)
        assert await board.renew(ONE, "a", {"done": 1})
    finally:
        await coordinator._redis.config_set("maxmemory", "0")
    assert await board.renew(ONE, "a", {})


async def test_redis_holds_no_name_of_a_collection_and_old_names_are_taken_out(coordinator: Coordinator) -> None:
    board = coordinator.board("server", b"secret")
    old = RunRef("t", "winter-boots", "9")
    await board.submit(old)
    assert await board.take("a") is not None
    assert len(await coordinator._redis.keys("*winter-boots*")) == 2
    others = RunRef("another-servers-tenant", "winter-boots", "8")
    await coordinator.board("other", b"").submit(others)
    assert await board.forget_names(["t"]) == 3  # the run at work, its lease, its epoch
    ref = board.ref("t", "winter-boots", "9")
    await board.submit(ref)
    taken = await board.take("a")
    assert taken is not None
    assert taken[0] == ref
    assert await board.forget_names(["t"]) == 0
    said = [k for k in await coordinator._redis.keys("*") if "other" not in k]
    for key in said:
        kind = await coordinator._redis.type(key)
        held: object = await (coordinator._redis.zrange(key, 0, -1) if kind == "zset" else coordinator._redis.get(key))
        assert "winter" not in f"{key!r} {held!r}"
    assert board.ref("t", "winter-boots", "9") != coordinator.board("server", b"other").ref("t", "winter-boots", "9")
    assert board.ref("t", "winter-boots", "9").place != board.ref("u", "winter-boots", "9").place


@pytest.mark.parametrize("count", [1, 2, 3, 40])
async def test_all_old_names_are_taken_out_however_many(coordinator: Coordinator, count: int) -> None:
    board = coordinator.board("server", b"secret")
    kept = [board.ref("t", "new", str(n)) for n in range(count)]
    for ref in kept:
        await board.submit(ref)
    for n in range(2 * count):
        await board.submit(RunRef("t", f"winter-{n}", f"old-{n}"))
    for _ in range(count):
        assert await board.take("worker") is not None
    await board.forget_names(["t"])
    assert not await coordinator._redis.keys("*winter*")
    queues = (keys.queue("server"), keys.running("server"))
    found = [str(ref) for queue in queues for ref in await coordinator._redis.zrange(queue, 0, -1)]
    assert sorted(found) == sorted(map(str, kept))
    assert await board.forget_names(["t"]) == 0


async def test_an_error_of_redis_quotes_no_command_and_no_key(coordinator: Coordinator) -> None:
    await coordinator._redis.set("{afterimage}:run:1", "not a hash")
    with pytest.raises(BoardAway) as away:
        await coordinator.board("server").progress("1")
    assert str(away.value) == "ResponseError WRONGTYPE" or str(away.value) == "ResponseError"
    pipe = coordinator._redis.pipeline()
    pipe.hset("{afterimage}:run:1", mapping={"secret-name": 1})
    with pytest.raises(redis.ResponseError) as failed:
        await pipe.execute()
    assert "secret-name" in str(failed.value)
    assert error_class(failed.value) == "ResponseError WRONGTYPE"
