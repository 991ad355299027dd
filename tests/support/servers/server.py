"""A real server in its own process, on free ports, with tenants."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc

from afterimage.client import Client, RetryPolicy
from afterimage.v1 import server_info_service_pb2 as server_info_pb
from afterimage.v1 import server_info_service_pb2_grpc as server_info_grpc
from service.composition.data_directory import open_registry
from service.config import load_settings
from service.runtime.process import prepared_environment
from service.tenancy.apikeys import Scope, key_id_of
from service.tenancy.registry import TenantRegistry
from service.tenancy.stored_keys import NewKey
from tests.support.data.numpy_index import VARIABLE
from tests.support.servers.warm_start import WarmProcess, run_warm, start_warm

COMMAND = [
    sys.executable,
    "-m",
    "tests.support.servers.numpy_command" if os.environ.get(VARIABLE) else "service.cli.main",
]
NO_RETRY = RetryPolicy(attempts=1)
# How a model runs best is measured at the start of the demo's server; each of the others would take seconds of both
# cores for it.
NOT_MEASURED = {"AFTERIMAGE_MODEL_THREADS": "1", "AFTERIMAGE_MAX_BATCH_SIZE": "8"}
PATIENT = {"AFTERIMAGE_MAX_SEARCH_WAIT_S": "60"}  # a search by picture is not refused on a machine that is busy
ONE_DECODER = {"AFTERIMAGE_DECODE_PROCESSES": "1"}  # each takes half a second of a core to start


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of the service, and without changes by pytest and its conftest."""
    changed = ("AFTERIMAGE_", "_AFTERIMAGE", "PYTEST_", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {name: value for name, value in os.environ.items() if not name.startswith(changed)}


def prepared(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with which a server would restart itself. Passing it saves a second of one core."""
    pixels = environment.get("AFTERIMAGE_MAX_IMAGE_PIXELS", load_settings({}).settings.max_image_pixels)
    return prepared_environment(environment, int(pixels)) or dict(environment)


def can_be_warm(environment: Mapping[str, str]) -> bool:
    """Whether a forked process suffices for this environment: only Python code reads the differences."""
    differing = environment.items() ^ clean_environment().items()
    return all(name.startswith("AFTERIMAGE_") or name == "PATH" for name, _ in differing)


def start(
    arguments: list[str],
    environment: dict[str, str],
    stderr: IO[str],
    *,
    anew: bool = False,
    wrapper: Sequence[str] = (),
) -> Process:
    """Starts a command that is stopped with the test. Its output goes to a pipe.

    `wrapper`: a command that runs it, such as `prlimit`.
    """
    process: Process
    if anew or wrapper or not can_be_warm(environment):
        if os.environ.get(VARIABLE):  # a server that starts itself again would do so by its own command
            environment = prepared(environment)
        process = subprocess.Popen(
            [*wrapper, *COMMAND, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
        )
    else:
        variables = prepared(environment)
        process = start_warm(arguments, variables, stdout=subprocess.PIPE, stderr=stderr.fileno())
    adopt(process)
    return process


def ended_at_once(arguments: list[str], folder: Path, environment: Mapping[str, str] = {}) -> tuple[int, str]:
    """The exit code and the standard error of a server or worker that must not start. `folder`: for its output."""
    done = run_warm(arguments, prepared({**clean_environment(), **NOT_MEASURED, **environment}), folder, 60)
    return done.returncode, done.stderr


Process = subprocess.Popen[str] | WarmProcess
_running: list[Process] = []
_kept: list[Process] = []


def adopt(process: Process) -> None:
    """Ends a process with the test, however the test ends."""
    _running.append(process)


def share(server: Server) -> Server:
    """Keeps a server running beyond its test. Whoever shares it must stop it."""
    keep(server.process)
    return server


def keep(process: Process) -> None:
    """Keeps a process running beyond its test. Whoever shares it must stop it."""
    _kept.append(process)


def kill_leftovers() -> None:
    """Kills servers that a failed test left running, except shared ones."""
    for process in list(_running):
        if process in _kept:
            continue
        _running.remove(process)
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@dataclass
class Server:
    """A running server. `store_url`: as it was started with."""

    folder: Path
    process: Process
    target: str
    http: str
    store_url: str | None = None

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def settled_log(self) -> str:
        """The log with the lines of all calls that have ended, which are written a tenth of a second later."""
        mark = secrets.token_hex(8)
        with grpc.insecure_channel(self.target) as channel, contextlib.suppress(grpc.RpcError):
            stub = server_info_grpc.ServerInfoServiceStub(channel)
            stub.GetServerInfo(server_info_pb.GetServerInfoRequest(), metadata=(("x-request-id", mark),))
        while mark not in (text := self.log.read_text()):
            assert self.process.poll() is None, text
            threading.Event().wait(0.02)
        return text

    def key(self, tenant: str, scopes: Iterable[Scope] = tuple(Scope)) -> str:
        """A key for a tenant, which is created if missing."""
        with self.registry() as registry:
            if tenant not in [t.name for t in registry.tenants()]:
                registry.create_tenant(tenant)
            return registry.api_keys.create(registry.tenant(tenant).uid, NewKey(frozenset(scopes)))

    @contextlib.contextmanager
    def registry(self) -> Iterator[TenantRegistry]:
        """The server's tenants, as seen by an operator's command."""
        settings = load_settings({"data_dir": self.data_dir, "store_url": self.store_url}).settings
        with contextlib.closing(open_registry(settings)) as opened:
            yield opened

    def revoke(self, tenant: str, key: str) -> None:
        """Revokes a key, as an operator does."""
        with self.registry() as registry:
            registry.api_keys.revoke(registry.tenant(tenant).uid, key_id_of(key))

    def client(self, key: str) -> Client:
        """A client without retries, so that tests see every failure."""
        return Client(self.target, key, retry=NO_RETRY)

    def stop(self) -> int:
        """Asks the server to stop, as an operator does. Returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()


def start_server(
    folder: Path,
    *flags: str,
    environment: dict[str, str] | None = None,
    anew: bool = False,
    wrapper: Sequence[str] = (),
) -> Server:
    """Starts a server on `folder`/data, and waits until it is ready.

    `anew`: by the command, without the warm start. `wrapper`: a command that runs it, such as `prlimit`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("a") as log:
        process = start(
            ["serve", "--data-dir", str(folder / "data"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", *flags],
            {**clean_environment(), **NOT_MEASURED, **PATIENT, **ONE_DECODER, **(environment or {})}, log,
            anew=anew, wrapper=wrapper,
        )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"gRPC on (\S+), HTTP on ([^\s,]+)", line)
    if found is None:
        process.wait()
        raise AssertionError(f"the server did not start: {(folder / 'server.log').read_text()[-2000:]}")
    return Server(folder, process, found[1], found[2], store_url=(environment or {}).get("AFTERIMAGE_STORE_URL"))
