"""A process that does one thing for the server and can be lost: killed on time-out, replaced by whoever owns it.

What goes in and out lies in memory that both share; a socket carries one short message each way. The server overwrites
the memory after each job, believes nothing but lengths that it set itself, and passes none of its settings on.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_MAX_MESSAGE = 16 * 1024


class ProcessDied(Exception):
    """The process ended while it had a job, or did not start."""


class ProcessTimedOut(Exception):
    """The process took too long and was killed."""


class SandboxedProcess:
    """Runs `python -m module SOCKET MEMORY PAYLOAD RESULT`: two descriptors, and how many bytes of the shared memory
    are for what goes in and, behind it, for what comes out. It answers each message with one.

    One job at a time; for one event loop.
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
            self._process = subprocess.Popen(
                [sys.executable, "-Psm", module, *sizes],  # isolated but for the environment, which is all given here
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(), memory),
                process_group=0,  # no Ctrl-C from the server's terminal
                env=dict(environment),
            )
        os.close(memory)
        self._ended = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it was not ended from here; one that died is noticed by the next call."""
        return not self._ended

    async def call(
        self, message: bytes, payload: bytes, result_bytes: int, timeout_s: float
    ) -> tuple[bytes, NDArray[np.uint8]]:
        """Does one job: the answer, and a copy of the first `result_bytes` of the result.

        Raises ProcessDied and ProcessTimedOut, after which, as after a cancellation, the process is gone.
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
        """Kills the process; returns what it wrote to stderr, where there is anything left to read."""
        self._ended = True
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
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
                last_words = await self.end()
        if not answer:
            raise ProcessDied(last_words)
        return answer
