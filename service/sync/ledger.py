"""A tenant's sources and runs, in `sync.db`, encrypted with the tenant's data key.

The ledger is authoritative. Redis only says who works on what at the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from index import new_uid, open_listed
from index.storage import DatabaseLock, checkpoint
from service.errors import Reason, ServiceError
from service.runtime.clock import SYSTEM_CLOCK, Clock, now_ms
from service.sync.model import ENDED, RUN, Run, RunState
from service.sync.pushes.secrets import MIGRATION, PushSecretBook
from service.sync.source_model import STATE, Source, SourceConfig, SourceState
from service.sync.sources.sealed_config import ConfigSeal

RUNS_KEPT = 200
_SOURCES = "SELECT source_id, config, state, created_ms, updated_ms FROM sources"
_MIGRATIONS = (
    """
    CREATE TABLE sources (
      source_id TEXT PRIMARY KEY,
      name TEXT NOT NULL UNIQUE,
      config TEXT NOT NULL,
      state TEXT NOT NULL,
      created_ms INTEGER NOT NULL,
      updated_ms INTEGER NOT NULL
    );
    CREATE TABLE runs (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      run_id TEXT NOT NULL UNIQUE,
      source_id TEXT NOT NULL,
      state TEXT NOT NULL,
      told TEXT NOT NULL
    );
    CREATE INDEX runs_by_source ON runs (source_id, number)
    """,
    MIGRATION,
)


class Ledger:
    """The ledger of one tenant. All methods are thread-safe."""

    def __init__(self, path: Path, data_key: bytes, clock: Clock = SYSTEM_CLOCK) -> None:
        """Opens the database, or creates it if the tenant's manifest lists none.

        Raises DataFault or StoreUnavailable.
        """
        self._listed = open_listed(path, data_key, "sync ledger", _MIGRATIONS)
        self._database = self._listed.connection
        self._lock = DatabaseLock(path)
        self._seal, self._clock = ConfigSeal(data_key), clock
        self.push_secrets = PushSecretBook(self._database, self._lock, data_key)
        with self._lock:
            self._seal_old()

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            self._listed.close()

    def note_progress(self) -> None:
        """Records the current state of the database in the tenant's manifest. Raises StoreUnavailable."""
        with self._lock:
            self._listed.note()

    # ---- sources

    def add_source(self, config: SourceConfig) -> Source:
        """Registers a source. Raises ServiceError (SOURCE_EXISTS)."""
        now = now_ms(self._clock)
        source = Source(new_uid(), config, SourceState(), now, now)
        with self._lock:
            if self._database.execute("SELECT 1 FROM sources WHERE name = ?", (config.name,)).fetchone():
                raise ServiceError(Reason.SOURCE_EXISTS, f"source {config.name!r} exists", field="source.name")
            self._database.execute(
                "INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?)",
                (source.source_id, config.name, self._seal.close(config), _json(STATE, source.state), now, now),
            )
        return source

    def sources(self) -> list[Source]:
        """All sources, ordered by name."""
        with self._lock:
            return [self._source(r) for r in self._database.execute(f"{_SOURCES} ORDER BY name").fetchall()]

    def source(self, name_or_id: str) -> Source:
        """One source, by its name or its id. Raises ServiceError (SOURCE_NOT_FOUND)."""
        with self._lock:
            query = f"{_SOURCES} WHERE ? IN (name, source_id)"
            row = self._database.execute(query, (name_or_id,)).fetchone()
        if row is None:
            raise ServiceError(Reason.SOURCE_NOT_FOUND, f"no source {name_or_id[:80]!r}", field="source")
        return self._source(row)

    def change_source(self, source_id: str, config: SourceConfig) -> Source:
        """Replaces the configuration of a source. Its name does not change. Raises ServiceError."""
        self.source(source_id)
        with self._lock:
            self._database.execute(
                "UPDATE sources SET config = ?, updated_ms = ? WHERE source_id = ?",
                (self._seal.close(config), now_ms(self._clock), source_id),
            )
        return self.source(source_id)

    def note_state(self, source_id: str, state: SourceState) -> None:
        """Stores the state that a run left."""
        with self._lock:
            self._database.execute("UPDATE sources SET state = ? WHERE source_id = ?", (_json(STATE, state), source_id))

    def delete_source(self, source_id: str) -> None:
        """Deletes a source and its runs."""
        with self._lock:
            self._database.execute("DELETE FROM runs WHERE source_id = ?", (source_id,))
            self._database.execute("DELETE FROM push_secrets WHERE source_id = ?", (source_id,))
            self._database.execute("DELETE FROM sources WHERE source_id = ?", (source_id,))

    def _source(self, row: tuple) -> Source:  # type: ignore[type-arg]
        return Source(row[0], self._seal.open(row[1]), STATE.validate_json(row[2]), row[3], row[4])

    def _seal_old(self) -> None:
        """Encrypts configurations stored by versions that did not encrypt them."""
        for source_id, config in self._database.execute("SELECT source_id, config FROM sources").fetchall():
            if not self._seal.is_closed(config):
                sealed = self._seal.close(self._seal.open(config))
                self._database.execute("UPDATE sources SET config = ? WHERE source_id = ?", (sealed, source_id))

    # ---- runs

    def add_run(self, run: Run) -> Run:
        """Adds a queued run, and deletes the oldest ended runs beyond RUNS_KEPT.

        Raises ServiceError (RUN_ACTIVE) if another run of the source has not ended.
        """
        made = replace(run, run_id=run.run_id or new_uid(), created_ms=now_ms(self._clock))
        with self._lock:
            live = self._database.execute(
                f"SELECT run_id FROM runs WHERE source_id = ? AND state NOT IN ({_names(_NOT_LIVE)})",  # noqa: S608
                (run.source_id,),
            ).fetchone()
            if live:
                message = f"run {live[0]} of this source has not ended; wait for it or cancel it"
                raise ServiceError(Reason.RUN_ACTIVE, message, field="source")
            self._insert(made)
            self._database.execute(
                f"DELETE FROM runs WHERE source_id = ? AND state IN ({_names(ENDED)}) AND number <= (SELECT number FROM"  # noqa: S608
                " runs WHERE source_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (run.source_id, run.source_id, RUNS_KEPT),
            )
        return made

    def run(self, run_id: str) -> Run:
        """One run. Raises ServiceError (RUN_NOT_FOUND)."""
        with self._lock:
            row = self._database.execute("SELECT told FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            raise ServiceError(Reason.RUN_NOT_FOUND, f"no run {run_id[:80]!r}", field="run_id")
        return RUN.validate_json(row[0])

    def runs(self, source_id: str = "", *, limit: int = 100) -> list[Run]:
        """Returns the newest runs first, of all sources if `source_id` is empty."""
        query = "SELECT told FROM runs WHERE ? IN ('', source_id) ORDER BY number DESC LIMIT ?"
        with self._lock:
            return [RUN.validate_json(r[0]) for r in self._database.execute(query, (source_id, limit))]

    def live_runs(self) -> list[Run]:
        """Runs that have not ended and do not wait for approval."""
        query = f"SELECT told FROM runs WHERE state NOT IN ({_names(_NOT_LIVE)}) ORDER BY number"  # noqa: S608
        with self._lock:
            return [RUN.validate_json(r[0]) for r in self._database.execute(query)]

    def waiting_runs(self) -> list[Run]:
        """Runs that wait for approval."""
        query = "SELECT told FROM runs WHERE state = ? ORDER BY number"
        with self._lock:
            return [RUN.validate_json(r[0]) for r in self._database.execute(query, (RunState.AWAITING_APPROVAL,))]

    def last_scheduled_ms(self, source_id: str) -> int:
        """Creation time of the last scheduled run of a source, in milliseconds since 1970; 0 if there is none."""
        runs = self.runs(source_id, limit=RUNS_KEPT)
        return next((r.created_ms for r in runs if r.trigger == "schedule"), 0)

    def unreported_runs(self) -> list[Run]:
        """Runs whose end is not in the audit log yet."""
        query = "SELECT told FROM runs WHERE state IN ({}) AND told LIKE '%\"untold\":true%' ORDER BY number"
        with self._lock:
            return [RUN.validate_json(r[0]) for r in self._database.execute(query.format(_names(_NOT_LIVE)))]

    def move(self, run_id: str, expected: Collection[RunState], change: Callable[[Run], Run]) -> Run | None:
        """Changes a run atomically if it is in one of the expected states. Returns None if it is not."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                row = self._database.execute("SELECT told FROM runs WHERE run_id = ?", (run_id,)).fetchone()
                run = RUN.validate_json(row[0]) if row else None
                if run is None or run.state not in expected:
                    return None
                changed = change(run)
                self._database.execute(
                    "UPDATE runs SET state = ?, told = ? WHERE run_id = ?",
                    (changed.state, _json(RUN, changed), run_id),
                )
                return changed
            finally:
                self._database.execute("COMMIT")

    def forget_records(self, ids: AbstractSet[str]) -> None:
        """Removes erased records from the plans of runs. `ids` are record or item ids."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for run_id, stored in self._database.execute("SELECT run_id, told FROM runs").fetchall():
                    run = RUN.validate_json(stored)
                    samples, lines = (
                        tuple(s for s in shown if s.record_id not in ids and s.record_id.split("#")[0] not in ids)
                        for shown in (run.plan.samples, run.plan.problem_lines)
                    )
                    if (samples, lines) != (run.plan.samples, run.plan.problem_lines):
                        run = replace(run, plan=replace(run.plan, samples=samples, problem_lines=lines))
                        self._database.execute("UPDATE runs SET told = ? WHERE run_id = ?", (_json(RUN, run), run_id))
            finally:
                self._database.execute("COMMIT")
            checkpoint(self._database)

    def _insert(self, run: Run) -> None:
        self._database.execute(
            "INSERT INTO runs (run_id, source_id, state, told) VALUES (?, ?, ?, ?)",
            (run.run_id, run.source_id, run.state, _json(RUN, run)),
        )


_NOT_LIVE = ENDED | {RunState.AWAITING_APPROVAL}


def _names(states: Collection[RunState]) -> str:
    return ",".join(f"'{s}'" for s in sorted(states))


def _json(adapter: object, value: object) -> str:
    return adapter.dump_json(value).decode()  # type: ignore[attr-defined, no-any-return]
