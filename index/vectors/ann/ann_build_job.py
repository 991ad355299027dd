"""Having an ANN index built by a process of its own, so that neither its work nor its failure is felt by searches."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

import numpy as np

from index.types.errors import AfterimageIndexError
from index.vectors.ann.ann_builder import Job
from index.vectors.ann.ann_index import AnnIndex
from index.vectors.ann.build_priority import Priority, StarvationMeter, cpu_seconds
from index.vectors.ann.signatures import BYTES, Signatures
from index.vectors.arrays.float16_matrix import Float16Matrix, handed_over

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0
_FIRST_PRIORITY = Priority.IDLE
_MODULE = f"{__package__}.ann_builder"
# How it is scheduled is set before anything is imported that starts threads. It stays in this session: Linux shares the
# processor among sessions first, and a new one would get half of it, idle or not.
_START = """
import contextlib, os, runpy
with contextlib.suppress(OSError):
    {priority}
runpy.run_module("{module}", run_name="__main__")
"""


class AnnIndexNotBuilt(AfterimageIndexError):
    """The process that builds an ANN index failed. The collection goes on as it was."""


class _Starved(Exception):
    """A build got too little of the processor, and was ended."""


class AnnBuilds:
    """How many bases are built at once in this process. Any number of threads may call any method at once."""

    def __init__(self, at_once: int = 1) -> None:
        self._turns = threading.BoundedSemaphore(at_once)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether another build would have to wait."""
        free = self._turns.acquire(blocking=False)
        if free:
            self._turns.release()
        return not free

    def build(self, float16: Float16Matrix, previous: AnnIndex | None = None) -> tuple[AnnIndex, Signatures]:
        """An ANN index over the rows, as many as a multiple of eight, and the signatures of its rows; where it extends
        `previous`, of those that are new. Raises AnnIndexNotBuilt."""
        with self._turns, handed_over(float16) as rows, _anonymous_file() as output:
            job = Job(rows, output, len(float16), float16.shape[1])
            try:
                said = self._run(job, previous, _FIRST_PRIORITY)
            except _Starved:
                _LOG.info("the build of an ANN index lacked the processor and is begun anew with a higher priority")
                said = self._run(job, previous, Priority.LOW)
            size = said["bytes"]
            signatures = np.frombuffer(_read(output, said["sketches"], size), np.uint8).reshape(-1, BYTES)
            return AnnIndex.from_bytes(_read(output, size), float16), signatures

    def close(self) -> None:
        """Ends what is being built, and begins nothing more."""
        self._closed = True
        for process in list(self._running):
            process.kill()

    def _run(self, job: Job, previous: AnnIndex | None, priority: Priority) -> dict[str, int]:
        """What the builder says. Raises AnnIndexNotBuilt, or _Starved where it is in the idle class."""
        if previous is not None:
            job = replace(job, previous=_write(job.output_descriptor, previous.to_bytes()))
        environment = {**os.environ, "OMP_NUM_THREADS": str(os.cpu_count() or 1), "OMP_WAIT_POLICY": "PASSIVE"}
        process = subprocess.Popen(
            [sys.executable, "-Pc", _START.format(priority=priority.value, module=_MODULE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            pass_fds=(job.rows_descriptor, job.output_descriptor), process_group=0,
        )  # fmt: skip
        self._running.add(process)
        try:
            if self._closed:
                process.kill()
            output, complaint = _said(process, json.dumps(asdict(job)).encode(), priority)
        finally:
            self._running.discard(process)
        if process.returncode != 0:
            last = complaint.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
            raise AnnIndexNotBuilt(f"the build of an ANN index exited with {process.returncode}: {last[0][:200]}")
        return dict(json.loads(output))


def _said(process: subprocess.Popen[bytes], job: bytes, priority: Priority) -> tuple[bytes, bytes]:
    """What the process writes to its standard output and error until it ends. Raises _Starved."""
    if priority is not Priority.IDLE:
        return process.communicate(job)
    meter = StarvationMeter(lambda: cpu_seconds(process.pid))
    given: bytes | None = job  # it is short, so that the first call passes it whole
    while True:
        try:
            return process.communicate(given, _LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            given = None
            if meter.is_starved():
                process.kill()
                process.communicate()
                raise _Starved from None


@contextmanager
def _anonymous_file() -> Iterator[int]:
    descriptor = os.memfd_create("base", os.MFD_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: memoryview) -> int:
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written : written + (1 << 30)], written)
    return written


def _read(descriptor: int, size: int, start: int = 0) -> memoryview:
    content = np.empty(size, np.uint8).data  # a bytearray is made zero while the interpreter is held
    at = 0
    while at < size:
        at += os.preadv(descriptor, [content[at : at + (1 << 30)]], start + at)
    return content
