"""A child process that runs one job at a time and can be killed and replaced.

Input and output are in shared memory. A socket carries one short message in each direction. The server overwrites the
memory after each job, trusts only lengths that it set itself, and passes none of its settings to the child.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
import subprocess
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from service.runtime.child_process import Program, Streams, end_child, python_module, start_child

_MAX_MESSAGE = 16 * 1024


class ProcessDied(Exception):
    """The process ended during a job, or did not start."""


class ProcessTimedOut(Exception):
    """The process exceeded its time limit and was killed."""


class SandboxedProcess:
    """Runs `python -m module SOCKET MEMORY PAYLOAD RESULT`.

    SOCKET and MEMORY are file descriptors. PAYLOAD and RESULT are the sizes in bytes of the two parts of the shared
    memory: input first, then output. The process answers each message with one message. It runs one job at a time, and
    belongs to one event loop.
    """

    def __init__(self, module: str, payload_bytes: int, result_bytes: int, environment: Mapping[str, str]) -> None:
        memory = os.memfd_create("job", os.MFD_CLOEXEC)
        os.ftruncate(memory, payload_bytes + result_bytes)
        shared = np.frombuffer(mmap.mmap(memory, payload_bytes + result_bytes), np.uint8)
        self._payload, self._result = shared[:payload_bytes], shared[payload_bytes:]
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with theirs:
            sizes = (str(n) for n in (theirs.fileno(), memory, payload_bytes, result_bytes))
            program = Program(python_module(module, *sizes), environment, files=(theirs.fileno(), memory))
            self._process = start_child(program, Streams(stderr=subprocess.PIPE))
        os.close(memory)
        self._ended = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False after `end`. The next call detects a process that died by itself."""
        return not self._ended

    async def call(
        self, message: bytes, payload: bytes, result_bytes: int, timeout_s: float
    ) -> tuple[bytes, NDArray[np.uint8]]:
        """Runs one job. Returns the answer, and a copy of the first `result_bytes` of the result.

        Raises ProcessDied and ProcessTimedOut. After either, and after a cancellation, the process is gone.
        """
        self._payload[: len(payload)] = np.frombuffer(payload, np.uint8)
        try:
            await self._send(message)
            answer = await self._answer(timeout_s)
            return answer, self._result[:result_bytes].copy()
        finally:
            self._payload[: len(payload)] = 0
            self._result[:result_bytes] = 0

    async def end(self) -> str:
        """Kills the process. Returns what it wrote to stderr, or ""."""
        self._ended = True
        await end_child(self._process)
        self._socket.close()
        stderr = self._process.stderr
        if stderr is None or stderr.closed:
            return ""
        with stderr:
            return stderr.read(_MAX_MESSAGE).decode(errors="replace")

    async def _send(self, message: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, message)
        except OSError as error:
            await self.end()
            raise ProcessDied(str(error)) from error

    async def _answer(self, timeout_s: float) -> bytes:
        answer = b""
        try:
            async with asyncio.timeout(timeout_s):
                answer = await asyncio.get_running_loop().sock_recv(self._socket, _MAX_MESSAGE)
        except TimeoutError:
            raise ProcessTimedOut from None
        except OSError as error:
            raise ProcessDied(str(error)) from error
        finally:
            if not answer:
                stderr = await self.end()
        if not answer:
            raise ProcessDied(stderr)
        return answer
