"""A PostgreSQL server for the tests of a process: a cluster in a temporary directory, reached by a socket in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from tests.support.needs import missing

REMEDY = "apt-get install postgresql (15 or later)"
_SYSTEM = Path("/usr/lib/postgresql")
_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
_LINES = (
    "listen_addresses = ''", "shared_buffers = 16MB", "max_connections = 50", "fsync = off", "autovacuum = off",
    "log_min_messages = warning",
)  # fmt: skip
ALONE = ("wal_level = minimal", "max_wal_senders = 0")


def binaries() -> Path:
    """The directory of `initdb` and `postgres`; skips the test where there is none."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres", path=str(Path(found).parent)):
        return Path(found).resolve().parent
    versions = sorted(_SYSTEM.glob("*/bin/initdb"), key=lambda p: int(p.parts[-3])) if shutil.which("psql") else []
    return versions[-1].parent if versions else missing("PostgreSQL", REMEDY)


@dataclass
class PostgresServer:
    """folder: of the cluster and its socket."""

    folder: Path
    binaries: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"postgresql:///postgres?host={self.folder}&user=afterimage"

    @property
    def socket(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = self.begin("postgres", "-D", self.folder / "data", "-k", self.folder, log=log.fileno())
        while True:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=5):
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            threading.Event().wait(0.02)

    def kill(self) -> None:
        """Kills every process of it at once, as a power cut does."""
        assert self.process is not None
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()

    def stand_still(self) -> None:
        """Stops every process of it until `go_on`."""
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                process.suspend()

    def go_on(self) -> None:
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                process.resume()

    def _processes(self) -> list[psutil.Process]:
        """The first one, and those that it has started, each of which has a group of its own."""
        assert self.process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.process.poll() is not None:
                return []
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def begin(self, program: str, *arguments: object, log: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """A process of one of its programs, in a group of its own, as a user that is not root."""
        # Not by Popen's `user`: that forks, and gRPC in this process may not survive it.
        ahead = ["setpriv", "--reuid", _UNPRIVILEGED, "--clear-groups"] if os.geteuid() == 0 else []
        return subprocess.Popen(
            [*ahead, self.binaries / program, *map(str, arguments)], stdout=log, stderr=log, cwd=self.folder,
            start_new_session=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )  # fmt: skip

    def dump(self) -> bytes:
        """What pg_dump writes of the whole database."""
        return subprocess.run(
            [self.binaries / "pg_dump", self.url], stdout=subprocess.PIPE, check=True, timeout=60
        ).stdout

    def files(self) -> Iterator[bytes]:
        """The content of every file of the cluster: tables, write-ahead log and all else."""
        for path in (self.folder / "data").rglob("*"):
            if path.is_file():
                yield path.read_bytes()


def empty_place() -> PostgresServer:
    """A server that has no cluster yet, in a new folder of its own."""
    found = binaries()
    folder = Path(tempfile.mkdtemp(prefix="afterimage-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, _UNPRIVILEGED)
    return PostgresServer(folder, found)


@contextlib.contextmanager
def running_postgres(lines: Sequence[str] = ALONE) -> Iterator[PostgresServer]:
    """A server for the block. lines: of its configuration, beside those that all have."""
    made = empty_place()
    folder = made.folder
    try:
        initialising = made.begin("initdb", "-D", folder / "data", "-U", "afterimage", "-A", "trust", "-N")
        assert initialising.wait(60) == 0
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("\n".join([*_LINES, *lines]) + "\n")
        made.start()
        yield made
    finally:
        if made.process is not None:
            made.kill()
        shutil.rmtree(folder)
