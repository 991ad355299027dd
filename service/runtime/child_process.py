"""Child processes: the one place where the service starts, ends and reaps them.

A child ends with this process, also after kill -9: the kernel sends it a signal. It has only the environment and the
files that it is given, and its own process group, so that Ctrl-C in a terminal reaches the server alone.

A small launcher asks for the signal, lowers the priority, and then executes the program. Code between fork and exec
would be unsafe while gRPC's threads run. The signal comes when the *thread* that started the child ends, so start
children on threads that live as long as they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import getpid

_PR_SET_PDEATHSIG = 1
# Arguments: the signal, this process, the priority, and the command. A parent that has ended before is noticed.
_LAUNCHER = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, int(sys.argv[1]))
if os.getppid() != int(sys.argv[2]):
    os._exit(1)
os.nice(int(sys.argv[3]))
os.execv(sys.argv[4], sys.argv[4:])
"""


@dataclass(frozen=True)
class Program:
    """A program for a child process.

    - `command`: the path of the program, and its arguments.
    - `environment`: all of its environment.
    - `files`: descriptors that it inherits, besides its standard streams.
    - `lower_priority`: by how much its priority is lower, 0 to 19.
    - `last_signal`: what it is sent when this process ends.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    files: tuple[int, ...] = ()
    lower_priority: int = 0
    last_signal: signal.Signals = signal.SIGKILL


@dataclass(frozen=True)
class Streams:
    """The standard streams of a child: `subprocess.DEVNULL` or `subprocess.PIPE`."""

    stdin: int = subprocess.DEVNULL
    stdout: int = subprocess.DEVNULL
    stderr: int = subprocess.DEVNULL


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in this interpreter: without the user's packages and the working directory."""
    return [sys.executable, "-Psm", module, *arguments]


def start_child(program: Program, streams: Streams = Streams()) -> subprocess.Popen[bytes]:
    """Starts a child process; takes milliseconds. Raises OSError if there is no memory or process left.

    If the program cannot be executed, the child exits with 1. The caller ends it with `end_child`.
    """
    return subprocess.Popen(
        _launched(program), stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr,
        pass_fds=program.files, process_group=0, env=dict(program.environment),
    )  # fmt: skip


def _launched(program: Program) -> list[str]:
    numbers = (int(program.last_signal), getpid(), program.lower_priority)
    return [sys.executable, "-ISc", _LAUNCHER, *map(str, numbers), *program.command]


async def end_child(process: subprocess.Popen[bytes], grace_s: float = 0.0) -> None:
    """Ends and reaps a child: with SIGTERM if it has `grace_s` seconds, then with SIGKILL."""
    if process.poll() is None and grace_s:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, grace_s)
    if process.poll() is None:
        process.kill()
    await asyncio.to_thread(process.wait)


async def run_child(program: Program, given: bytes) -> tuple[int, bytes]:
    """Runs a child to its end. Returns its exit status, and its standard output.

    `given`: its standard input. A cancellation kills it.
    """
    process = await asyncio.create_subprocess_exec(
        *_launched(program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        pass_fds=program.files, process_group=0, env=dict(program.environment),
    )  # fmt: skip
    try:
        output, _ = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output


def run_command(command: Sequence[str], timeout_s: float) -> tuple[int, str, str]:
    """Runs an operator's command to its end. Returns its exit status, standard output and standard error.

    Unlike other children, it has this process's environment, terminal and process group: it may ask the operator.
    Raises OSError if it does not start, and TimeoutError if it takes longer; it is then killed.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"no answer within {timeout_s:g} s") from None
        finally:
            _abandon(process)
    return process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """Kills a process, and closes its pipes without reading what its own children may still write."""
    process.kill()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
