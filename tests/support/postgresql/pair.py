"""Two PostgreSQL servers: a primary, which waits with each commit for its synchronous standby, and that standby."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator

import psycopg

from tests.support.postgresql.server import PostgresServer, empty_place, running_postgres

_LINES = ("wal_level = replica", "max_wal_senders = 4", "hot_standby = on", "synchronous_standby_names = '*'",
          "wal_receiver_timeout = 5s", "wal_sender_timeout = 5s")  # fmt: skip


class Pair:
    """primary, standby: which is which changes."""

    def __init__(self, primary: PostgresServer, standby: PostgresServer) -> None:
        self.primary, self.standby = primary, standby

    def fail_over(self) -> None:
        """Kills the primary, promotes the standby, and has the old primary begin again as its standby. Until that has
        caught up, the new primary acknowledges nothing."""
        self.primary.kill()
        with psycopg.connect(self.standby.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        self.primary, self.standby = self.standby, self.primary
        self.follow()

    def follow(self) -> None:
        """Makes the standby from the primary, and waits until commits wait for it."""
        data = self.standby.folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        source = f"host={self.primary.folder} user=afterimage"
        copying = self.standby.begin(
            "pg_basebackup", "-d", source, "-D", data, "-R", "-N", "-c", "fast", "-X", "stream"
        )
        assert copying.wait(120) == 0
        self.standby.start()
        self._until_synchronous()

    def _until_synchronous(self) -> None:
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            while not connection.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone():
                threading.Event().wait(0.05)


@contextlib.contextmanager
def running_pair() -> Iterator[Pair]:
    """Both, for the block."""
    with running_postgres(_LINES) as primary:
        standby = empty_place()
        try:
            pair = Pair(primary, standby)
            pair.follow()
            yield pair
        finally:
            if standby.process is not None:
                standby.kill()
            shutil.rmtree(standby.folder)
