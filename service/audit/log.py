"""A tenant's append-only audit log in `audit.db`, encrypted under the tenant's data key.

Beside the chain the file contains work in progress: intents without an outcome (`open_acts`), and receipts that were
not handed out yet. Only the chain is evidence.
"""

from __future__ import annotations

import json
from pathlib import Path

from service.audit import keys
from service.audit.acts import KeptReceipt, KeysUsedUp, KeyTaken, OpenAct, Resume
from service.audit.chain import INTENT, OUTCOME, Details, Entry, Head, Signer
from service.audit.chain_database import ChainDatabase, as_json
from service.runtime.clock import now_ms


class AuditLog:
    """The log of one tenant.

    - `seal`: of its idempotency keys.

    Any number of threads and several processes may add entries. Concurrent ones share a commit.
    """

    def __init__(self, path: Path, tenant_uid: str, data_key: bytes, signer: Signer) -> None:
        """Opens the log, or creates it if the tenant's manifest lists none. Raises DataFault or StoreUnavailable."""
        self.seal = keys.KeySeal(data_key)
        self._chain = ChainDatabase(path, tenant_uid, data_key, signer)

    @property
    def newest_ms(self) -> int:
        """Time of its newest entry, milliseconds since 1970; 0 if it is empty."""
        return self._chain.newest_ms

    def close(self) -> None:
        """Closes the log."""
        self._chain.close()

    def note_progress(self) -> None:
        """Stores the current state of the log in the tenant's manifest. Raises StoreUnavailable."""
        self._chain.note_progress()

    # ---- adding

    def add(self, actor: str, action: str, details: Details) -> Entry:
        """Adds an entry and signs the new head. Returns when both are durable. Raises StoreUnavailable."""
        made: Entry = self._chain.commit(lambda: self._chain.append(actor, action, details))
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
            entry = self._chain.append(actor, INTENT, {"act": action, **details})
            self._chain.connection.execute(
                "INSERT INTO open_acts VALUES (?, ?, ?, ?, ?, ?, '{}')",
                (entry.number, entry.time_ms, actor, action, as_json(details), owner),
            )
            if claim is not None:
                keys.take(self._chain.connection, claim, entry.number, entry.time_ms)
            made[:] = [OpenAct(entry.number, entry.time_ms, actor, action, dict(details), owner)]
            return entry

        self._chain.commit(work, may_be_over=True)
        if refused:
            raise refused[0]
        return made[0]

    def _why_not(self, claim: keys.Claim) -> Exception | None:
        """Why a call may not have its key; None: it may."""
        now = now_ms()
        earlier = keys.earlier(self._chain.connection, claim, now)
        if earlier is not None:
            return KeyTaken(earlier)
        if keys.is_full(self._chain.connection, now):
            return KeysUsedUp(f"{keys.MAX_KEYS:,} idempotency keys of the last day are kept; try again later")
        return None

    def prune_keys(self) -> int:
        """Drops idempotency keys that are more than a day old. Returns how many. Raises StoreUnavailable."""
        return self._chain.within(lambda database: keys.prune(database, now_ms()))

    def resume(self, number: int, resume: Resume) -> None:
        """Stores what is needed to finish an open act. Raises StoreUnavailable."""
        self._chain.change("UPDATE open_acts SET resume = ? WHERE number = ?", (as_json(resume), number))

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
            if not self._chain.connection.execute("DELETE FROM open_acts WHERE number = ?", (act.number,)).rowcount:
                return None
            keys.conclude(self._chain.connection, act.number, outcome, answer)
            if receipt is not None:
                values = (act.number, receipt.what, receipt.place, receipt.subjects, as_json(receipt.fields))
                self._chain.connection.execute(
                    "DELETE FROM receipts WHERE what = ? AND place = ? AND subjects = ?", values[1:4]
                )
                self._chain.connection.execute("INSERT INTO receipts VALUES (?, ?, ?, ?, ?)", values)
            if outcome == "done":
                return self._chain.append(actor, act.action, {**details, **link})
            return self._chain.append(actor, OUTCOME, {**details, "act": act.action, "outcome": outcome, **link})

        return self._chain.commit(work, may_be_over=True) is not None

    def handed_out(self, number: int) -> None:
        """Deletes the receipt of an act after the caller has received it. Raises StoreUnavailable."""
        self._chain.change("DELETE FROM receipts WHERE number = ?", (number,))

    # ---- reading

    def open_acts(self) -> list[OpenAct]:
        """Intents without an outcome, oldest first. Raises StoreUnavailable."""
        query = "SELECT number, time_ms, actor, action, details, owner, resume FROM open_acts ORDER BY number"
        rows = self._chain.rows(query)
        return [OpenAct(r[0], r[1], r[2], r[3], json.loads(r[4]), r[5], json.loads(r[6])) for r in rows]

    def receipts(self, what: str, place: str) -> list[tuple[int, KeptReceipt]]:
        """Receipts that were not handed out yet, newest first, with the numbers of their acts."""
        query = "SELECT number, what, place, subjects, told FROM receipts WHERE what = ? AND place = ? ORDER BY -number"
        return [(r[0], KeptReceipt(r[1], r[2], r[3], json.loads(r[4]))) for r in self._chain.rows(query, (what, place))]

    def entries(self, after: int = 0, limit: int = 1000) -> list[tuple[Entry, str]]:
        """A page of entries with numbers above `after`, with their stored digests."""
        query = "SELECT told, digest FROM entries WHERE number > ? ORDER BY number LIMIT ?"
        return [(Entry(**json.loads(entry)), digest) for entry, digest in self._chain.rows(query, (after, limit))]

    def head(self) -> Head | None:
        """The signed head; None if the log is empty."""
        return self._chain.head()
