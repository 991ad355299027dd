"""A tenant's append-only audit log in `audit.db`, encrypted under the tenant's data key.

Beside the chain the file contains work in progress: intents without an outcome (`open_acts`), and receipts that were
not handed out yet. Only the chain is evidence.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index import DataFault, StoreUnavailable, open_listed
from index.storage import DatabaseError, DatabaseLock, file_error
from service.audit import keys
from service.audit.chain import INTENT, OUTCOME, Details, Entry, Head, Signer, genesis
from service.audit.schema import GUARDS, MIGRATIONS
from service.runtime.clock import now_ms

Resume = Mapping[str, Any]  # JSON


@dataclass(frozen=True)
class OpenAct:
    """An intent without an outcome.

    - `number`: of its entry.
    - `owner`: the process that works on it.
    - `resume`: what is needed to finish it; empty: nothing was stored.
    """

    number: int
    time_ms: int
    actor: str
    action: str
    details: Details
    owner: str
    resume: Resume = field(default_factory=dict)


@dataclass
class _PendingChange:
    """A change that waits for its group commit."""

    work: Callable[[], Entry | None]
    entry: Entry | None = None
    error: Exception | None = None
    over: bool = False


@dataclass(frozen=True)
class KeptReceipt:
    """A receipt that was not handed out yet.

    - `place`: name of the collection or training set.
    - `subjects`: keyed digest of the requested ids; empty if everything was erased.
    - `fields`: the receipt's fields.
    """

    what: str
    place: str
    subjects: str
    fields: Mapping[str, Any]


class KeyTaken(Exception):
    """Another call has, or had, the idempotency key: `earlier`."""

    def __init__(self, earlier: keys.Earlier) -> None:
        super().__init__("an earlier call has the idempotency key")
        self.earlier = earlier


class KeysUsedUp(Exception):
    """The tenant has used too many idempotency keys within a day."""


class AuditLog:
    """The log of one tenant.

    - `newest_ms`: time of its newest entry, milliseconds since 1970; 0 if it is empty.
    - `seal`: of its idempotency keys.

    Any number of threads and several processes may add entries. Concurrent ones share a commit.
    """

    def __init__(self, path: Path, tenant_uid: str, data_key: bytes, signer: Signer) -> None:
        """Opens the log, or creates it if the tenant's manifest lists none. Raises DataFault or StoreUnavailable."""
        self._uid, self._signer, self._path = tenant_uid, signer, path
        self.seal = keys.KeySeal(data_key)
        self._listed = open_listed(path, data_key, "audit log", MIGRATIONS)
        self._database = self._listed.connection
        self._lock, self._queue_lock = DatabaseLock(path), threading.Lock()
        with self._lock:
            for guard in GUARDS:
                self._database.execute(guard)
        self._queue: list[_PendingChange] = []
        head = self.head()
        self.newest_ms = head.time_ms if head is not None else 0

    def close(self) -> None:
        """Closes the log."""
        with self._lock:
            self._listed.close()

    def note_progress(self) -> None:
        """Stores the current state of the log in the tenant's manifest. Raises StoreUnavailable."""
        with self._lock:
            self._listed.note()

    # ---- adding

    def add(self, actor: str, action: str, details: Details) -> Entry:
        """Adds an entry and signs the new head. Returns when both are durable. Raises StoreUnavailable."""
        made: Entry = self._turn(lambda: self._append(actor, action, details))
        return made

    def begin(self, actor: str, action: str, details: Details, owner: str, claim: keys.Claim | None = None) -> OpenAct:
        """Adds an intent, which stays open until `end`. `claim`: its idempotency key, taken in the same transaction.

        Raises KeyTaken or KeysUsedUp, and adds nothing then, or StoreUnavailable.
        """
        made: list[OpenAct] = []
        refused: list[Exception] = []

        def work() -> Entry | None:
            if claim is not None and (why := self._why_not(claim)) is not None:
                refused.append(why)
                return None
            entry = self._append(actor, INTENT, {"act": action, **details})
            self._database.execute(
                "INSERT INTO open_acts VALUES (?, ?, ?, ?, ?, ?, '{}')",
                (entry.number, entry.time_ms, actor, action, _json(details), owner),
            )
            if claim is not None:
                keys.take(self._database, claim, entry.number, entry.time_ms)
            made[:] = [OpenAct(entry.number, entry.time_ms, actor, action, dict(details), owner)]
            return entry

        self._turn(work, may_be_over=True)
        if refused:
            raise refused[0]
        return made[0]

    def _why_not(self, claim: keys.Claim) -> Exception | None:
        """Why a call may not have its key; None: it may."""
        now = now_ms()
        earlier = keys.earlier(self._database, claim, now)
        if earlier is not None:
            return KeyTaken(earlier)
        if keys.is_full(self._database, now):
            return KeysUsedUp(f"{keys.MAX_KEYS:,} idempotency keys of the last day are kept; try again later")
        return None

    def prune_keys(self) -> int:
        """Drops idempotency keys that are more than a day old. Returns how many. Raises StoreUnavailable."""
        with self._lock:
            return keys.prune(self._database, now_ms())

    def resume(self, number: int, resume: Resume) -> None:
        """Stores what is needed to finish an open act. Raises StoreUnavailable."""
        self._change("UPDATE open_acts SET resume = ? WHERE number = ?", (_json(resume), number))

    def end(
        self,
        act: OpenAct,
        details: Details,
        outcome: str = "done",
        *,
        by: str = "",
        receipt: KeptReceipt | None = None,
        answer: bytes = b"",
    ) -> bool:
        """Adds the outcome of an act with its receipt. Returns False if the act already has one.

        The outcome "done" is logged under the act's own action, any other as an outcome. `by`: the actor, if it is not
        the one who began. `answer`: sealed, to be kept with its idempotency key. Raises StoreUnavailable.
        """
        actor, link = by or act.actor, {"intent": act.number}

        def work() -> Entry | None:
            if not self._database.execute("DELETE FROM open_acts WHERE number = ?", (act.number,)).rowcount:
                return None
            keys.conclude(self._database, act.number, outcome, answer)
            if receipt is not None:
                values = (act.number, receipt.what, receipt.place, receipt.subjects, _json(receipt.fields))
                self._database.execute(
                    "DELETE FROM receipts WHERE what = ? AND place = ? AND subjects = ?", values[1:4]
                )
                self._database.execute("INSERT INTO receipts VALUES (?, ?, ?, ?, ?)", values)
            if outcome == "done":
                return self._append(actor, act.action, {**details, **link})
            return self._append(actor, OUTCOME, {**details, "act": act.action, "outcome": outcome, **link})

        return self._turn(work, may_be_over=True) is not None

    def handed_out(self, number: int) -> None:
        """Deletes the receipt of an act after the caller has received it. Raises StoreUnavailable."""
        self._change("DELETE FROM receipts WHERE number = ?", (number,))

    # ---- reading

    def open_acts(self) -> list[OpenAct]:
        """Intents without an outcome, oldest first. Raises StoreUnavailable."""
        query = "SELECT number, time_ms, actor, action, details, owner, resume FROM open_acts ORDER BY number"
        rows = self._rows(query)
        return [OpenAct(r[0], r[1], r[2], r[3], json.loads(r[4]), r[5], json.loads(r[6])) for r in rows]

    def receipts(self, what: str, place: str) -> list[tuple[int, KeptReceipt]]:
        """Receipts that were not handed out yet, newest first, with the numbers of their acts."""
        query = "SELECT number, what, place, subjects, told FROM receipts WHERE what = ? AND place = ? ORDER BY -number"
        return [(r[0], KeptReceipt(r[1], r[2], r[3], json.loads(r[4]))) for r in self._rows(query, (what, place))]

    def entries(self, after: int = 0, limit: int = 1000) -> list[tuple[Entry, str]]:
        """A page of entries with numbers above `after`, with their stored digests."""
        query = "SELECT told, digest FROM entries WHERE number > ? ORDER BY number LIMIT ?"
        return [(Entry(**json.loads(entry)), digest) for entry, digest in self._rows(query, (after, limit))]

    def head(self) -> Head | None:
        """The signed head; None if the log is empty."""
        rows = self._rows("SELECT number, digest, time_ms, signature FROM head")
        return Head(self._uid, *rows[0]) if rows else None

    # ---- commits

    def _turn(self, work: Callable[[], Entry | None], *, may_be_over: bool = False) -> Any:
        """Executes `work` in the next commit. The first thread commits for all that wait."""
        mine = _PendingChange(work)
        with self._queue_lock:
            self._queue.append(mine)
        with self._lock:
            if not mine.over:
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                self._commit(batch)
        if isinstance(mine.error, DataFault):  # each thread needs its own exception object
            raise DataFault(mine.error.path, mine.error.problem) from mine.error
        if mine.error is not None:
            raise StoreUnavailable(f"the audit log: {mine.error}") from mine.error
        assert mine.entry is not None or may_be_over
        return mine.entry

    def _commit(self, batch: list[_PendingChange]) -> None:
        """Commits all waiting changes with one transaction, one signature and one fsync."""
        failure: Exception | None = None
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for turn in batch:
                    turn.entry = turn.work()
                self._sign([t.entry for t in batch if t.entry is not None])
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite rolls back by itself if the disk is full
                    self._database.execute("ROLLBACK")
                raise
        except DatabaseError as error:
            failure = file_error(error, self._path)
        except Exception as error:
            failure = error
            raise
        finally:
            for turn in batch:
                turn.error, turn.over = failure, True

    def _append(self, actor: str, action: str, details: Details) -> Entry:
        row = self._database.execute("SELECT number, digest FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        number, previous = row or (0, genesis(self._uid))
        entry = Entry(number + 1, now_ms(), actor, action, dict(details), previous)
        self._database.execute(
            "INSERT INTO entries VALUES (?, ?, ?)", (entry.number, _json(entry.to_dict()), entry.digest)
        )
        return entry

    def _sign(self, added: list[Entry]) -> None:
        if not added:
            return
        last = added[-1]
        head = Head(self._uid, last.number, last.digest, last.time_ms)
        self._database.execute(
            "INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?)",
            (head.number, head.digest, head.time_ms, self._signer.sign(head.to_dict())),
        )
        self.newest_ms = head.time_ms

    def _change(self, statement: str, values: tuple[object, ...]) -> None:
        with self._lock:
            self._database.execute(statement, values)

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._lock:
            return list(self._database.execute(query, values).fetchall())


def _json(value: object) -> str:
    return json.dumps(value if not isinstance(value, Mapping) else dict(value), sort_keys=True, ensure_ascii=False)
