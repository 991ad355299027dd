"""A gate before a PostgreSQL server, one for each client of it: it can be shut, and connections be cut or held."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from pathlib import Path

_PIECE = 1 << 16


class Gate:
    """folder: of its socket, which stands for that of the server."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._made = tempfile.TemporaryDirectory(prefix="afterimage-gate-", dir="/tmp")
        self.folder = Path(self._made.name)
        self._open, self._flowing = True, threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._sockets = set[socket.socket]()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends all connections. New ones are accepted."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def shut(self) -> None:
        """Ends all connections, and refuses new ones until `open`."""
        self._open = False
        self.cut()

    def open(self) -> None:
        self._open = True

    def hold(self) -> None:
        """Passes nothing on until `release`; connections stay."""
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self.shut()
        self.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._made.cleanup()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    if not self._open:
                        raise ConnectionRefusedError
                    server.connect(str(self._target))
                except OSError:  # as if there were no gate
                    client.close()
                    server.close()
                    continue
                with self._lock:
                    self._sockets |= {client, server}
                threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                self._flowing.wait()
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets -= {source, sink}
        source.close()
