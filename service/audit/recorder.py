"""Changes that no deadline, cancellation, full disk or kill can part from their entries in the audit log.

The intent is on the disk before anything is changed; where it cannot be written the change is refused. The change and
the entry of its outcome run in a task of their own: a caller that gives up, or whose deadline passes, ends only its
waiting. An outcome that cannot be written is owed and written later; what a kill leaves open the next start looks at.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from index import AfterimageIndexError
from service.audit.chain import Details
from service.audit.log import KeptReceipt, OpenAct, Resume
from service.audit.logs import AuditLogs
from service.errors import Code, Reason, ServiceError, release_frames
from service.tenancy.database import now_ms
from service.tenancy.keyring import Principal

T = TypeVar("T")
Look = Callable[[str, OpenAct], bool | None]  # whether a tenant's act was done; None: that cannot be seen
_LOG = logging.getLogger(__name__)
OPERATOR = "operator"  # owner of what a command does on the data directory
_OPERATOR_MS = 60_000  # by then such a command has ended, or was killed
_MOST_ABANDONED = 16  # of a tenant: changes that go on although nobody waits for them
# What such an error means is that nothing was changed.
_REFUSALS = frozenset(
    {
        Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS, Code.PERMISSION_DENIED, Code.RESOURCE_EXHAUSTED,
        Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED, Code.UNAUTHENTICATED,
    }
)  # fmt: skip
_current: contextvars.ContextVar[Act] = contextvars.ContextVar("act")


@dataclass(frozen=True)
class Intent:
    """A change that is about to be made. action, details: as the log tells them."""

    action: str
    details: Details


class Act:
    """The change that a call is making. The code that makes it may note how it can be finished by somebody else."""

    def __init__(self, logs: AuditLogs, tenant_uid: str, begun: OpenAct) -> None:
        self._logs, self.tenant_uid, self.begun = logs, tenant_uid, begun
        self.resume: Resume | None = None
        self.more: dict[str, str | int | bool] = {}
        self.unfinished = self.nothing_changed = False
        self.receipt: KeptReceipt | None = None
        self.finished: int | None = None

    async def note(self, resume: Resume) -> None:
        """Writes down what is needed to finish it. Raises StoreUnavailable."""
        self.resume = resume
        log = await asyncio.to_thread(self._logs.of, self.tenant_uid)
        await asyncio.to_thread(log.resume, self.begun.number, resume)

    def tell(self, details: Details) -> None:
        """Adds to what its outcome tells."""
        self.more |= details

    def leave_open(self) -> None:
        """Where it fails from now on, somebody finishes it later: it has no outcome yet."""
        self.unfinished = True

    def changes_nothing(self) -> None:
        """Where it fails, nothing of its own was changed."""
        self.nothing_changed = True

    def finishes(self, earlier: int) -> None:
        """It finished an earlier act, by its number: the entry of that one tells what was done, and its receipt is
        handed out."""
        self.finished = earlier


def current_act() -> Act:
    """The change that the call at hand is making. Raises LookupError where it makes none."""
    return _current.get()


@dataclass(frozen=True)
class _Owed:
    tenant_uid: str
    act: OpenAct
    details: Details
    outcome: str
    receipt: KeptReceipt | None


class Recorder:
    """For one event loop. `owner`: names this process in open acts."""

    def __init__(self, logs: AuditLogs, look: Look) -> None:
        """`look` says, from a thread, whether an act that failed was done all the same."""
        self._logs, self._look = logs, look
        self.owner = f"server:{secrets.token_hex(8)}"
        self._tasks: set[asyncio.Task[object]] = set()
        self._abandoned: dict[str, int] = {}
        self._owed: list[_Owed] = []
        self._making: set[tuple[str, int]] = set()
        self._looking, self._looked_back = threading.Lock(), set[str]()

    async def change(
        self, caller: Principal, intent: Intent, work: Callable[[], Awaitable[T]], done: Callable[[T], Details | None]
    ) -> T:
        """Makes a change and tells it. `done`: what is told of the result; None: nothing was changed. Raises what
        `work` raises, StoreUnavailable where the intent cannot be written, ServiceError (OVERLOADED) where too many
        changes of the tenant go on that nobody waits for."""
        if self._abandoned.get(caller.tenant_uid, 0) >= _MOST_ABANDONED:
            message = "too many changes are running without a waiting caller"
            raise ServiceError(Reason.OVERLOADED, message, retry_delay_s=1.0)
        waiting = asyncio.Event()
        waiting.set()
        task = asyncio.create_task(self._carry_out(caller, intent, work, done, waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                waiting.clear()
                self._let_go(caller.tenant_uid, task)
            raise

    async def drain(self, timeout_s: float) -> None:
        """Waits until the changes that go on are made and told, at most so long."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_s)
        await self.settle()

    async def settle(self) -> None:
        """Writes the outcomes that are owed. To be called every few seconds."""
        owed, self._owed = self._owed, []
        for one in owed:
            await self._conclude(one)

    async def _carry_out(
        self,
        caller: Principal,
        intent: Intent,
        work: Callable[[], Awaitable[T]],
        done: Callable[[T], Details | None],
        waiting: asyncio.Event,
    ) -> T:
        uid = caller.tenant_uid
        begun = await asyncio.to_thread(self._begin, caller, intent)
        self._making.add((uid, begun.number))
        try:
            return await self._make(Act(self._logs, uid, begun), work, done, waiting)
        finally:
            self._making.discard((uid, begun.number))

    async def _make(
        self, act: Act, work: Callable[[], Awaitable[T]], done: Callable[[T], Details | None], waiting: asyncio.Event
    ) -> T:
        uid, begun = act.tenant_uid, act.begun
        if not waiting.is_set():
            await self._conclude(_Owed(uid, begun, {"reason": Reason.DEADLINE.name}, "refused", None))
            raise ServiceError(Reason.DEADLINE, "the caller disconnected before the change started")
        _current.set(act)
        try:
            result = await work()
        except Exception as error:  # a cancellation is the end of the process: the next start looks at what it left
            if not act.unfinished:
                await self._conclude(await self._failed(act, error))
            raise
        if act.finished is not None:
            told: Details | None = {"finished": act.finished}
            outcome = "finished"
        else:
            told = done(result)
            outcome = "done" if told is not None else "nothing"
        await self._conclude(_Owed(uid, begun, {**(told or {}), **act.more}, outcome, act.receipt))
        number = act.finished if act.finished is not None else begun.number if act.receipt is not None else None
        if number is not None and waiting.is_set():  # whoever waits is about to have the receipt
            await asyncio.to_thread(self._handed_out, uid, number)
        return result

    def look_back(self, tenant_uid: str) -> None:
        """Gives the acts of a tenant that an earlier process left open the outcome that its state shows. Done once, and
        before this process changes anything of the tenant's. For threads."""
        with self._looking:
            if tenant_uid in self._looked_back:
                return
            log = self._logs.of(tenant_uid)
            for act in log.open_acts():
                recent = act.owner == OPERATOR and now_ms() - act.time_ms < _OPERATOR_MS
                if act.owner == self.owner or act.resume or recent:
                    continue
                log.end(act, {}, outcome_of(self._look(tenant_uid, act)), by="server")
            self._looked_back.add(tenant_uid)

    def is_making(self, tenant_uid: str, number: int) -> bool:
        """Whether an act, by its number, is being made by a call of this process."""
        return (tenant_uid, number) in self._making

    def _begin(self, caller: Principal, intent: Intent) -> OpenAct:
        self.look_back(caller.tenant_uid)
        return self._logs.of(caller.tenant_uid).begin(caller.actor, intent.action, intent.details, self.owner)

    async def _failed(self, act: Act, error: Exception) -> _Owed:
        uid, begun = act.tenant_uid, act.begun
        reason = error.reason if isinstance(error, ServiceError) else Reason.INTERNAL
        if reason.code in _REFUSALS:
            return _Owed(uid, begun, {"reason": reason.name}, "refused", None)
        if act.nothing_changed:
            return _Owed(uid, begun, {"reason": reason.name}, "nothing", None)
        found = await asyncio.to_thread(self._look, uid, begun)
        return _Owed(uid, begun, {"reason": reason.name}, outcome_of(found), None)

    async def _conclude(self, owed: _Owed) -> None:
        try:
            await asyncio.to_thread(self._end, owed)
        except AfterimageIndexError as error:
            _LOG.warning("could not write the outcome of a change to the audit log; retrying: %s", error)
            self._owed.append(owed)

    def _end(self, owed: _Owed) -> None:
        self._logs.of(owed.tenant_uid).end(owed.act, owed.details, owed.outcome, receipt=owed.receipt)

    def _handed_out(self, uid: str, number: int) -> None:
        try:
            self._logs.of(uid).handed_out(number)
        except AfterimageIndexError as error:  # it is handed out once more, then
            _LOG.warning("could not remove a delivered receipt: %s", error)

    def _let_go(self, uid: str, task: asyncio.Task[T]) -> None:
        self._abandoned[uid] = self._abandoned.get(uid, 0) + 1

        def over(ended: asyncio.Task[T]) -> None:
            self._abandoned[uid] -= 1
            if not self._abandoned[uid]:
                del self._abandoned[uid]
            error = None if ended.cancelled() else ended.exception()
            if error is not None:
                if not isinstance(error, ServiceError | AfterimageIndexError):
                    _LOG.error("a change failed after its caller had disconnected", exc_info=error)
                release_frames(error)

        task.add_done_callback(over)


def outcome_of(found: bool | None) -> str:
    """How the log names what a look at the state found."""
    return {True: "found done", False: "found not done", None: "unknown"}[found]
