import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.encoder.batcher import Batcher, BatcherLimits
from service.encoder.fair_queue import Lane
from service.errors import Reason, ServiceError

VectorBatcher = Batcher[np.ndarray]


class Model:
    """A model that waits until it is released, records its batches, and fails on demand."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Semaphore(0)
        self.fail_on: set[int] = set()
        self.began = threading.Semaphore(0)

    def run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        tensors = np.stack(inputs)
        self.batches.append([int(v) for v in tensors[:, 0]])
        self.began.release()
        assert self.go.acquire(timeout=10)
        if self.fail_on & set(self.batches[-1]):
            raise RuntimeError("the model died")
        return list(tensors * 2.0)


def tensor(number: int) -> np.ndarray:
    return np.array([number], np.float32)


@pytest.fixture
async def model() -> Model:
    return Model()


@pytest.fixture
async def batcher(model: Model) -> AsyncIterator[VectorBatcher]:
    with ThreadPoolExecutor(1) as pool:
        made = Batcher(model.run, pool, BatcherLimits(max_batch_size=4))
        yield made
        for _ in range(100):
            model.go.release()
        await made.close()


async def started(model: Model) -> None:
    await asyncio.to_thread(model.began.acquire)


async def test_what_waits_while_the_model_runs_goes_together_up_to_the_limit(
    batcher: VectorBatcher, model: Model
) -> None:
    first = asyncio.create_task(batcher.encode(tensor(0), Lane.INSERT))
    await started(model)
    rest = [asyncio.create_task(batcher.encode(tensor(n), Lane.INSERT)) for n in range(1, 7)]
    await asyncio.sleep(0)
    for _ in range(3):
        model.go.release()
    assert [float(v[0]) for v in await asyncio.gather(first, *rest)] == [0, 2, 4, 6, 8, 10, 12]
    assert model.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_searches_go_before_inserts(batcher: VectorBatcher, model: Model) -> None:
    tasks = [asyncio.create_task(batcher.encode(tensor(0), Lane.INSERT))]
    await started(model)
    tasks += [asyncio.create_task(batcher.encode(tensor(n), Lane.INSERT)) for n in (1, 2, 3, 4)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(batcher.encode(tensor(9), Lane.SEARCH)))
    await asyncio.sleep(0)
    for _ in range(4):
        model.go.release()
    await asyncio.gather(*tasks)
    assert model.batches[1] == [9, 1, 2, 3]


async def test_inserts_are_not_starved_by_searches(batcher: VectorBatcher, model: Model) -> None:
    tasks = [asyncio.create_task(batcher.encode(tensor(0), Lane.SEARCH))]
    await started(model)
    insert = asyncio.create_task(batcher.encode(tensor(100), Lane.INSERT))
    for _ in range(4):
        tasks += [asyncio.create_task(batcher.encode(tensor(n), Lane.SEARCH)) for n in range(4)]
        await asyncio.sleep(0)
        model.go.release()
        await started(model)
        if insert.done() or 100 in model.batches[-1]:
            break
    assert 100 in model.batches[-1]
    for _ in range(50):
        model.go.release()
    await asyncio.gather(insert, *tasks)


async def test_callers_that_are_gone_are_dropped_when_the_batch_is_made(batcher: VectorBatcher, model: Model) -> None:
    first = asyncio.create_task(batcher.encode(tensor(0), Lane.INSERT))
    await started(model)
    gone, stays = (asyncio.create_task(batcher.encode(tensor(n), Lane.INSERT)) for n in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    model.go.release()
    model.go.release()
    await asyncio.gather(first, stays)
    assert model.batches == [[0], [2]]


async def test_when_a_run_dies_every_waiter_of_it_is_told_and_the_next_goes_on(
    batcher: VectorBatcher, model: Model
) -> None:
    model.fail_on = {1}
    first = asyncio.create_task(batcher.encode(tensor(0), Lane.INSERT))
    await started(model)
    doomed = [asyncio.create_task(batcher.encode(tensor(n), Lane.INSERT)) for n in (1, 2, 3, 4)]
    await asyncio.sleep(0)
    later = asyncio.create_task(batcher.encode(tensor(7), Lane.INSERT))
    for _ in range(3):
        model.go.release()
    failures = await asyncio.gather(*doomed, return_exceptions=True)
    assert all(isinstance(f, ServiceError) and f.reason is Reason.ENCODER_FAILED for f in failures)
    assert float((await later)[0]) == 14
    assert float((await first)[0]) == 0


async def test_tensors_that_do_not_fit_together_fail_without_stopping_the_batcher(
    batcher: VectorBatcher, model: Model
) -> None:
    first = asyncio.create_task(batcher.encode(tensor(0), Lane.INSERT))
    await started(model)
    odd = [asyncio.create_task(batcher.encode(t, Lane.INSERT)) for t in (tensor(1), np.zeros((2, 2), np.float32))]
    await asyncio.sleep(0)
    for _ in range(3):
        model.go.release()
    assert all(isinstance(f, ServiceError) for f in await asyncio.gather(*odd, return_exceptions=True))
    await first
    assert float((await batcher.encode(tensor(3), Lane.SEARCH))[0]) == 6


async def test_when_a_worker_dies_nobody_hangs_and_another_takes_its_place(model: Model) -> None:
    with ThreadPoolExecutor(2) as pool:
        batcher = Batcher(model.run, pool, BatcherLimits(max_batch_size=1))
        first = asyncio.create_task(batcher.encode(tensor(0), Lane.INSERT))
        await started(model)
        waiting = [asyncio.create_task(batcher.encode(tensor(n), Lane.INSERT)) for n in range(3)]
        await asyncio.sleep(0)
        next(iter(batcher._workers)).cancel()
        failures = await asyncio.wait_for(asyncio.gather(first, *waiting, return_exceptions=True), 5)
        assert all(isinstance(f, ServiceError) for f in failures)
        again = asyncio.create_task(batcher.encode(tensor(5), Lane.INSERT))
        model.go.release()
        model.go.release()
        assert float((await asyncio.wait_for(again, 5))[0]) == 10
        await batcher.close()


async def test_runs_go_side_by_side_as_many_as_the_limits_say(model: Model) -> None:
    with ThreadPoolExecutor(2) as pool:
        batcher = Batcher(model.run, pool, BatcherLimits(max_batch_size=1, runs=2))
        waiting = [asyncio.create_task(batcher.encode(tensor(n), Lane.INSERT)) for n in range(3)]
        await started(model)
        await started(model)
        assert sorted(model.batches) == [[0], [1]]  # both run, and neither has been let go
        for _ in range(3):
            model.go.release()
        assert sorted(float(v[0]) for v in await asyncio.gather(*waiting)) == [0, 2, 4]
        await batcher.close()


async def test_closing_finishes_what_waits_and_refuses_what_comes(model: Model) -> None:
    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(model.run, pool, BatcherLimits())
        waiting = [asyncio.create_task(batcher.encode(tensor(n), Lane.INSERT)) for n in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(ServiceError, match="shutting down"):
            await batcher.encode(tensor(9), Lane.SEARCH)
        for _ in range(3):
            model.go.release()
        await closing
        assert [float(v[0]) for v in await asyncio.gather(*waiting)] == [0, 2, 4]
