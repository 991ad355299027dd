"""Commands that start fast: each is a process forked from one that has imported the whole service.

Importing takes two seconds of a core, which is most of the cost of a server in a test and nearly all of a command. The
parent has no threads, has opened nothing, and runs in the environment of a server. A forked process differs from a new
one: its memory contains that of the parent, and `/proc` shows the parent's command line and environment. Tests of these
start a new process.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from tests.support.data.numpy_index import VARIABLE, install

_MAX_MESSAGE = 128 << 10
_NOT_STARTED = "the process that commands are forked from has ended"


class WarmProcess:
    """A forked process with the part of subprocess.Popen's interface that the tests use."""

    def __init__(self, args: Sequence[str], pid: int, status: int, stdout: int | None) -> None:
        """`status`: read end of a pipe for the exit code. `stdout`: read end of its standard output, or None."""
        self.args, self.pid = list(args), pid
        self.returncode: int | None = None
        self._status = status
        self.stdout: IO[str] | None = None if stdout is None else os.fdopen(stdout, encoding="utf-8")

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it); None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """`timeout`: seconds. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(os.read(self._status, 16) or b"-9")
            os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def start_warm(arguments: Sequence[str], environment: Mapping[str, str], *, stderr: int, stdout: int) -> WarmProcess:
    """Runs `afterimage` with the arguments in this process's working directory, with these output descriptors.

    `stdout`: subprocess.PIPE for a pipe.
    """
    reader = None
    if stdout == subprocess.PIPE:
        reader, stdout = os.pipe()
    status, status_end = os.pipe()
    request = json.dumps({"arguments": list(arguments), "environment": dict(environment), "folder": os.getcwd()})
    warm = _warm()
    socket.send_fds(warm, [request.encode()], [stdout, stderr, status_end])
    os.close(status_end)
    if reader is not None:
        os.close(stdout)
    answer = warm.recv(16)
    assert answer, _NOT_STARTED
    return WarmProcess(["afterimage", *arguments], int(answer), status, reader)


def run_warm(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end. `folder`: for temporary output files. Raises subprocess.TimeoutExpired."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / f"out-{time.monotonic_ns()}").open("w+") as out,
        (folder / f"err-{time.monotonic_ns()}").open("w+") as err,
    ):
        process = start_warm(arguments, environment, stdout=out.fileno(), stderr=err.fileno())
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
            os.unlink(out.name)
            os.unlink(err.name)
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(process.args, code, out.read(), err.read())


@cache
def _warm() -> socket.socket:
    """Connects to the forking process, which ends with this one."""
    from tests.support.servers.server import clean_environment, prepared

    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, "-m", "tests.support.servers.warm_start", str(there.fileno())], pass_fds=[there.fileno()],
        env=prepared(clean_environment()), cwd=Path(__file__).parents[3], stdin=subprocess.DEVNULL,
    )  # fmt: skip
    there.close()
    assert here.recv(16) == b"ready", _NOT_STARTED
    atexit.register(here.close)
    return here


def main(requests: socket.socket) -> None:
    """Forks a process for each request until no client is left."""
    gc.disable()
    sys.modules["onnxruntime"] = _AtUse("onnxruntime")  # it starts a thread
    from service import worker  # noqa: F401
    from service.cli.main import application
    from service.composition import run  # noqa: F401

    if os.environ.get(VARIABLE):
        install()
    application()
    gc.freeze()
    assert len(os.listdir("/proc/self/task")) == 1, "what has threads cannot be forked"
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    requests.send(b"ready")
    while True:
        ready, _, _ = select.select([requests.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
            _reap(running)
        if requests.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(requests, _MAX_MESSAGE, 3)
            if not message:
                return
            *outputs, status = descriptors
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                _become(json.loads(message), outputs)
            running[pid] = status
            for descriptor in outputs:
                os.close(descriptor)
            requests.send(str(pid).encode())


class _AtUse(ModuleType):
    """A placeholder for a module that is imported on first use."""

    def __getattr__(self, name: str) -> object:
        if sys.modules[self.__name__] is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _reap(running: dict[int, int]) -> None:
    """Reports ended processes to their waiters."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        told = running.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(told)


def _become(request: dict[str, Any], outputs: Sequence[int]) -> None:
    """Runs the command in this process, and ends it."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, descriptor in enumerate(outputs, 1):
            os.dup2(descriptor, number)
        os.closerange(3, 1 + max(map(int, os.listdir("/proc/self/fd"))))
        sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8") for n in (1, 2))
        faulthandler.enable()  # SIGABRT to a process that does not go on: it writes what its threads do
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = ["afterimage", *request["arguments"]]
        from service.cli import main as command

        command.run()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
