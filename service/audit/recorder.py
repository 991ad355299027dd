"""Guarantees that every change has its entries in the audit log, despite deadlines, cancellation, full disks and
kills.

The intent is durable before anything is changed. If it cannot be written, the change is refused. The change and its
outcome run in a separate task, so that a caller that gives up only stops waiting. An outcome that cannot be written is
written later. The next start resolves intents that a kill left open.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from index import AfterimageIndexError
from service.audit.abandoned import AbandonedChanges
from service.audit.acts import KeptReceipt, KeysUsedUp, KeyTaken, OpenAct, Resume
from service.audit.chain import Details
from service.audit.keys import Claim
from service.audit.logs import AuditLogs
from service.errors import Code, Reason, ServiceError
from service.runtime.clock import now_ms
from service.tenancy.keyring import Principal
from service.tracing.allowed import Stage
from service.tracing.spans import stage

__all__ = ["Act", "Intent", "KeyTaken", "KeysUsedUp", "Recorder", "current_act", "outcome_of"]
T = TypeVar("T")
Look = Callable[[str, OpenAct], bool | None]  # whether a tenant's act was done; None: unknown
_LOG = logging.getLogger(__name__)
OPERATOR = "operator"  # owner of acts of commands on the data directory
_OPERATOR_MS = 60_000  # such a command has ended by then, or was killed
# Errors that guarantee that nothing was changed.
_REFUSALS = frozenset(
    {
        Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS, Code.PERMISSION_DENIED, Code.RESOURCE_EXHAUSTED,
        Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED, Code.UNAUTHENTICATED,
    }
)  # fmt: skip
_current: contextvars.ContextVar[Act] = contextvars.ContextVar("act")


@dataclass(frozen=True)
class Intent:
    """An intended change. `action` and `details` are logged as they are. `claim`: of its idempotency key."""

    action: str
    details: Details
    claim: Claim | None = None


class Act:
    """The change of the current call. The code that makes it may store how it can be finished later."""

    def __init__(self, logs: AuditLogs, tenant_uid: str, begun: OpenAct, claim: Claim | None = None) -> None:
        self._logs, self.tenant_uid, self.begun, self.claim = logs, tenant_uid, begun, claim
        self.resume: Resume | None = None
        self.more: dict[str, str | int | bool] = {}
        self.unfinished = self.nothing_changed = False
        self.receipt: KeptReceipt | None = None
        self.finished: int | None = None

    async def note(self, resume: Resume) -> None:
        """Stores what is needed to finish the change. Raises StoreUnavailable."""
        self.resume = resume
        log = await asyncio.to_thread(self._logs.of, self.tenant_uid)
        await asyncio.to_thread(log.resume, self.begun.number, resume)

    def tell(self, details: Details) -> None:
        """Adds details to its outcome."""
        self.more |= details

    def leave_open(self) -> None:
        """From now on a failure leaves the act open, to be finished later."""
        self.unfinished = True

    def changes_nothing(self) -> None:
        """Marks that a failure changes nothing of its own."""
        self.nothing_changed = True

    def finishes(self, earlier: int) -> None:
        """Marks that it finished an earlier act, by number.

        That act's entry has the outcome, and its receipt is handed out.
        """
        self.finished = earlier


def current_act() -> Act:
    """The change of the current call. Raises LookupError if it makes none."""
    return _current.get()


@dataclass(frozen=True)
class _PendingOutcome:
    tenant_uid: str
    act: OpenAct
    details: Details
    outcome: str
    receipt: KeptReceipt | None
    answer: bytes = b""


class Recorder:
    """Records changes, for one event loop. `owner`: the name of this process in open acts."""

    def __init__(self, logs: AuditLogs, look: Look) -> None:
        """`look` returns, in a thread, whether a failed act was done after all."""
        self._logs, self._look = logs, look
        self.owner = f"server:{secrets.token_hex(8)}"
        self._tasks: set[asyncio.Task[object]] = set()
        self._abandoned = AbandonedChanges()
        self._pending: list[_PendingOutcome] = []
        self._making: set[tuple[str, int]] = set()
        self._resolving, self._resolved = threading.Lock(), set[str]()

    async def change(
        self, caller: Principal, intent: Intent, work: Callable[[], Awaitable[T]], done: Callable[[T], Details | None]
    ) -> T:
        """Executes a change and records it.

        `done`: returns the details of the result; None: nothing was changed. Raises what `work` raises,
        StoreUnavailable if the intent cannot be written, KeyTaken or KeysUsedUp of its claim, and ServiceError
        (OVERLOADED) if too many changes of the tenant go on without a caller.
        """
        self._abandoned.check(caller.tenant_uid)
        waiting = asyncio.Event()
        waiting.set()
        task = self._task(self._carry_out(caller, intent, work, done, waiting))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                waiting.clear()
                self._abandoned.watch(caller.tenant_uid, task)
            raise

    async def add(self, caller: Principal, action: str, details: Details) -> None:
        """Adds an entry, also if the caller gives up meanwhile. Raises StoreUnavailable."""
        add = self._task(asyncio.to_thread(self._logs.add, caller.tenant_uid, caller.actor, action, details))
        add.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody else may look
        await asyncio.shield(add)

    @property
    def in_progress(self) -> int:
        """Changes and entries that are being made, whether or not a caller waits."""
        return len(self._tasks)

    async def drain(self, timeout_s: float) -> None:
        """Waits until the changes in progress are made and recorded, at most `timeout_s`."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_s)
        await self.settle()

    async def settle(self) -> None:
        """Writes pending outcomes. Call it every few seconds."""
        pending, self._pending = self._pending, []
        for one in pending:
            await self._conclude(one)

    def _task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begins work that `drain` waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _carry_out(
        self,
        caller: Principal,
        intent: Intent,
        work: Callable[[], Awaitable[T]],
        done: Callable[[T], Details | None],
        waiting: asyncio.Event,
    ) -> T:
        uid = caller.tenant_uid
        with stage(Stage.AUDIT):
            begun = await asyncio.to_thread(self._begin, caller, intent)
        self._making.add((uid, begun.number))
        try:
            return await self._make(Act(self._logs, uid, begun, intent.claim), work, done, waiting)
        finally:
            self._making.discard((uid, begun.number))

    async def _make(
        self, act: Act, work: Callable[[], Awaitable[T]], done: Callable[[T], Details | None], waiting: asyncio.Event
    ) -> T:
        uid, begun = act.tenant_uid, act.begun
        if not waiting.is_set():
            await self._conclude(_PendingOutcome(uid, begun, {"reason": Reason.DEADLINE.name}, "refused", None))
            raise ServiceError(Reason.DEADLINE, "the caller disconnected before the change started")
        _current.set(act)
        try:
            result = await work()
        except Exception as error:  # on cancellation the process ends, and the next start resolves the act
            if not act.unfinished:
                await self._conclude(await self._failed(act, error))
            raise
        if act.finished is not None:
            details: Details | None = {"finished": act.finished}
            outcome = "finished"
        else:
            details = done(result)
            outcome = "done" if details is not None else "nothing"
        answer = act.claim.seal(result) if act.claim is not None else b""
        await self._conclude(_PendingOutcome(uid, begun, {**(details or {}), **act.more}, outcome, act.receipt, answer))
        number = act.finished if act.finished is not None else begun.number if act.receipt is not None else None
        if number is not None and waiting.is_set():  # the waiting caller receives the receipt now
            await asyncio.to_thread(self._handed_out, uid, number)
        return result

    def resolve_open_acts(self, tenant_uid: str) -> None:
        """Adds outcomes for a tenant's acts that an earlier process left open, judged by the current state.

        Runs once per tenant, before this process changes anything of the tenant. Blocks; call it in a thread.
        """
        with self._resolving:
            if tenant_uid in self._resolved:
                return
            log = self._logs.of(tenant_uid)
            for act in log.open_acts():
                recent = act.owner == OPERATOR and now_ms() - act.time_ms < _OPERATOR_MS
                if act.owner == self.owner or act.resume or recent:
                    continue
                log.end(act, {}, outcome_of(self._look(tenant_uid, act)), by="server")
            self._resolved.add(tenant_uid)

    def is_making(self, tenant_uid: str, number: int) -> bool:
        """Whether a call of this process is executing an act, by its number."""
        return (tenant_uid, number) in self._making

    def _begin(self, caller: Principal, intent: Intent) -> OpenAct:
        self.resolve_open_acts(caller.tenant_uid)
        return self._logs.of(caller.tenant_uid).begin(
            caller.actor, intent.action, intent.details, self.owner, intent.claim
        )

    async def _failed(self, act: Act, error: Exception) -> _PendingOutcome:
        uid, begun = act.tenant_uid, act.begun
        reason = error.reason if isinstance(error, ServiceError) else Reason.INTERNAL
        if reason.code in _REFUSALS:
            return _PendingOutcome(uid, begun, {"reason": reason.name}, "refused", None)
        if act.nothing_changed:
            return _PendingOutcome(uid, begun, {"reason": reason.name}, "nothing", None)
        found = await asyncio.to_thread(self._look, uid, begun)
        return _PendingOutcome(uid, begun, {"reason": reason.name}, outcome_of(found), None)

    async def _conclude(self, pending: _PendingOutcome) -> None:
        try:
            with stage(Stage.AUDIT):
                await asyncio.to_thread(self._end, pending)
        except AfterimageIndexError as error:
            _LOG.warning("could not write the outcome of a change to the audit log; retrying: %s", error)
            self._pending.append(pending)

    def _end(self, pending: _PendingOutcome) -> None:
        self._logs.of(pending.tenant_uid).end(
            pending.act, pending.details, pending.outcome, receipt=pending.receipt, answer=pending.answer
        )

    def _handed_out(self, uid: str, number: int) -> None:
        try:
            self._logs.of(uid).handed_out(number)
        except AfterimageIndexError as error:  # a later call may then return it again
            _LOG.warning("could not remove a delivered receipt: %s", error)


def outcome_of(found: bool | None) -> str:
    """The outcome in the log for what the state shows."""
    return {True: "found done", False: "found not done", None: "unknown"}[found]
