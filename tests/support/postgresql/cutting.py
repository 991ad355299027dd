"""A gate between a server and PostgreSQL that cuts the connection before or after a commit."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from tests.support.postgresql.server import PostgresServer


class CutAt(Enum):
    BEFORE_COMMIT = "the commit does not arrive"
    AFTER_COMMIT = "the commit stands and its answer is lost"


class Cutting:
    """folder: of its socket. cuts: how many connections were cut at a commit."""

    def __init__(self, target: Path, folder: Path) -> None:
        self._target, self.folder, self.cuts = target, folder, 0
        self._at: CutAt | None = None
        self._then_refuse = self._refusing = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"postgresql:///postgres?host={self.folder}&user=afterimage"

    def cut_next(self, at: CutAt, *, then_refuse: bool = False) -> None:
        """Cuts the connection at the next commit of rows. then_refuse: nobody gets through any more until `accept`."""
        self._at, self._then_refuse = at, then_refuse

    def accept(self) -> None:
        """Lets connections through again."""
        self._refusing = False

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refusing:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._target))
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answers, args=(server, client), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        wrote = False
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                wrote = wrote or b"UPDATE afterimage.collections" in data
                if self._refusing:
                    break
                if b"COMMIT" in data and wrote:
                    wrote = False
                    if self._at is not None:
                        self._cut(client, server, data)
                        break
                server.sendall(data)
        _end(client, server)

    def _cut(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        at, self._at = self._at, None
        self.cuts += 1
        self._refusing = self._then_refuse
        if at is CutAt.AFTER_COMMIT:
            client.shutdown(socket.SHUT_WR)  # the answer goes nowhere
            server.sendall(data)
        else:
            server.shutdown(socket.SHUT_RDWR)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)
        _end(client, server)


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextlib.contextmanager
def cutting(postgres: PostgresServer) -> Iterator[Cutting]:
    """A gate to the server for the block."""
    with tempfile.TemporaryDirectory(prefix="afterimage-gate-", dir="/tmp") as folder:
        made = Cutting(postgres.socket, Path(folder))
        try:
            yield made
        finally:
            made.close()
