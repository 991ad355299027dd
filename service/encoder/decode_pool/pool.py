"""Pictures to tensors in sandboxed processes: a bomb or a codec's crash costs one picture, not the server.

A picture on which a process dies is tried once more in a fresh one, since the process may have been killed for another
reason; one that takes too long is not. A process is replaced after a while, so that what a codec leaks stays bounded.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.encoder.fair_queue import FairQueue, Lane
from service.encoder.manifest import InputSpec
from service.encoder.preprocess import tensor_shape
from service.errors import Reason, ServiceError, SettingError
from service.intake.decode import Area
from service.intake.limits import PictureLimits
from service.intake.notes import Note
from service.intake.sandbox import ProcessDied, ProcessTimedOut, SandboxedProcess
from service.runtime.background import end_task

_LOG = logging.getLogger(__name__)
_MODULE = f"{__package__}.worker"
_RETIRE_AFTER_PROCESSOR_S = 600.0
_RESULT_BYTES = 2048 * 2048 * 3 * 4  # the largest input that a manifest may ask for
_MAX_STARTS_IN_A_ROW = 5
_START_TIMEOUT_S = 30.0
Tensor = NDArray[np.generic]


@dataclass(frozen=True)
class DecodingLimits:
    """processes: how many decode at a time. timeout_s: for one picture. environment: what the processes see."""

    processes: int
    timeout_s: float
    environment: Mapping[str, str]


class DecodedTensor(NamedTuple):
    """The model's input, without the batch axis, and what there is to say about the picture. size: rows and columns of
    the upright picture, or of its region, as it was decoded."""

    tensor: Tensor
    notes: tuple[Note, ...] = ()
    size: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class _DecodeJob:
    picture: bytes
    region: Area | None
    spec: InputSpec
    partial: bool
    done: asyncio.Future[DecodedTensor]


class Decoders:
    """Made, used and closed on one event loop. How much may wait is for the caller to bound."""

    def __init__(self, limits: DecodingLimits, pictures: PictureLimits) -> None:
        self._limits, self._pictures = limits, pictures
        self._queue: FairQueue[_DecodeJob] = FairQueue()
        self._wake = asyncio.Semaphore(0)
        self._protections: dict[str, bool] = {}
        self._processes: dict[int, SandboxedProcess] = {}
        self._loops: list[asyncio.Task[None]] = []

    @property
    def picture_limits(self) -> PictureLimits:
        """The limits on one picture."""
        return self._pictures

    @property
    def protections(self) -> dict[str, bool]:
        """What confines the processes, by name, and whether each holds on this kernel."""
        return dict(self._protections)

    @property
    def pids(self) -> list[int]:
        """Process ids of the decoders that run."""
        return [p.pid for p in self._processes.values()]

    async def start(self) -> None:
        """Starts the processes. Raises SettingError where they do not start."""
        started = await asyncio.gather(*(self._process(slot) for slot in range(self._limits.processes)))
        if None in started:
            raise SettingError.about("decode_processes", "the sandboxed decoders did not start; see the log")
        for slot in range(self._limits.processes):
            self._loops.append(asyncio.create_task(self._work(slot), name=f"decoder {slot}"))

    async def decode(
        self, picture: bytes, region: Area | None, spec: InputSpec, lane: Lane, tenant: str, *, partial: bool = False
    ) -> DecodedTensor:
        """The tensor of one picture. `partial`: one that is cut short is used.

        Raises ServiceError (IMAGE_..., DECODER_FAILED, DECODE_TIMEOUT).
        """
        self._pictures.check_bytes(len(picture))
        job = _DecodeJob(picture, region, spec, partial, asyncio.get_running_loop().create_future())
        self._queue.put(job, lane, tenant)
        self._wake.release()
        return await job.done

    async def close(self) -> None:
        """Ends the processes; whoever waits gets an error."""
        for loop in self._loops:
            await end_task(loop)
        for process in self._processes.values():
            await process.end()
        self._processes.clear()
        while (job := self._queue.take()) is not None:
            _fail(job, ServiceError(Reason.SHUTTING_DOWN, "the server is shutting down", retry_delay_s=1.0))

    async def _work(self, slot: int) -> None:
        while True:
            await self._process(slot)
            await self._wake.acquire()
            await self._next(slot)

    async def _next(self, slot: int) -> None:
        """Does the next job, and keeps nothing of it while the loop waits for another."""
        job = self._queue.take()
        if job is None or job.done.done():
            return
        try:
            await self._do(slot, job)
        except BaseException as error:
            _fail(job, ServiceError(Reason.DECODER_FAILED, "the decoder was stopped", field="image"))
            if not isinstance(error, Exception):
                raise
            _LOG.exception("a decoder's loop failed")

    async def _do(self, slot: int, job: _DecodeJob) -> None:
        for attempt in (1, 2):
            process = await self._process(slot)
            if process is None:
                return _fail(job, ServiceError(Reason.DECODER_FAILED, "the decoders did not start", field="image"))
            try:
                decoded = await self._call(slot, process, job)
            except ProcessTimedOut:
                message = f"the picture took longer than {self._limits.timeout_s:g} s to decode"
                return _fail(job, ServiceError(Reason.DECODE_TIMEOUT, message, field="image"))
            except ServiceError as error:
                return _fail(job, error)
            except ProcessDied:
                _LOG.warning("a decoder crashed on a picture, attempt %d", attempt)
                continue
            if not job.done.done():
                job.done.set_result(decoded)
            return None
        return _fail(job, ServiceError(Reason.DECODER_FAILED, "the decoder crashed on this picture", field="image"))

    async def _call(self, slot: int, process: SandboxedProcess, job: _DecodeJob) -> DecodedTensor:
        shape, dtype = tensor_shape(job.spec), np.dtype(job.spec.dtype)
        region = job.region
        message = {
            "size": len(job.picture),
            "region": [region.left, region.top, region.right, region.bottom] if region else None,
            "spec": _as_json(job.spec),
            "partial": job.partial,
        }
        answer, result = await process.call(
            json.dumps(message).encode(), job.picture, math.prod(shape) * dtype.itemsize, self._limits.timeout_s
        )
        said = json.loads(answer)
        if "reason" in said:
            raise ServiceError(Reason[said["reason"]], str(said["message"])[:300], field="image")
        if said["processor_s"] > _RETIRE_AFTER_PROCESSOR_S:
            await process.end()
        notes = tuple(Note[name] for name in said["notes"] if name in Note.__members__)
        rows, columns = said["size"]
        return DecodedTensor(result.view(dtype).reshape(shape), notes, (int(rows), int(columns)))

    async def _process(self, slot: int) -> SandboxedProcess | None:
        """The slot's process, started anew where it has ended; None where it does not start."""
        for _ in range(_MAX_STARTS_IN_A_ROW):
            process = self._processes.get(slot)
            if process is not None and process.alive:
                return process
            process = SandboxedProcess(_MODULE, self._pictures.max_bytes, _RESULT_BYTES, self._limits.environment)
            self._processes[slot] = process
            try:
                answer, _ = await process.call(json.dumps(asdict(self._pictures)).encode(), b"", 0, _START_TIMEOUT_S)
                self._protections = json.loads(answer)
                return process
            except (ProcessDied, ProcessTimedOut) as error:
                _LOG.error("a decoder did not start: %s %s", type(error).__name__, str(error)[-500:])
        return None


@lru_cache(64)
def _as_json(spec: InputSpec) -> str:
    return spec.model_dump_json()


def _fail(job: _DecodeJob, error: ServiceError) -> None:
    if not job.done.done():
        job.done.set_exception(error)
