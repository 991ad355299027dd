"""Records calls in the audit log of their tenant, as the table of methods says."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from service.audit.chain import Details
from service.audit.logs import AuditLogs
from service.audit.recorder import Intent, KeysUsedUp, KeyTaken, Recorder
from service.audit.tally import Tallies
from service.calls.auditing.reads import read_details
from service.calls.method import Method
from service.calls.repetition.keyed_call import KeyedCall, used_up
from service.engine.faults import translated_errors
from service.tenancy.keyring import Principal
from service.tracing.allowed import Stage
from service.tracing.spans import stage


class CallRecording:
    """Records calls. All methods raise ServiceError (STORE_UNAVAILABLE) if the log cannot be written.

    A change is made only after its intent was recorded. Sensitive data is returned only after that was recorded.
    """

    def __init__(self, audit: AuditLogs, recorder: Recorder, tallies: Tallies) -> None:
        """`tallies`: counts calls that are too frequent for an entry each."""
        self._audit, self._recorder, self.tallies = audit, recorder, tallies

    async def around(
        self,
        method: Method,
        request: Any,
        caller: Principal,
        make: Callable[[], Awaitable[Any]],
        keyed: KeyedCall | None = None,
    ) -> Any:
        """Makes a call with one response and records it: a change before and after, others after.

        `keyed`: a change with this key that was made before is not made again; its answer is returned.
        """
        rule = method.row.audit
        intended = rule.intent(request) if rule is not None and rule.intent is not None else None
        if rule is not None and intended is not None:
            outcome = functools.partial(rule.outcome, request)
            claim = await keyed.claim(request, caller, self._audit) if keyed is not None else None
            try:
                return await self._recorder.change(caller, Intent(rule.action, intended, claim), make, outcome)
            except KeyTaken as why:
                assert keyed is not None
                return await keyed.answer(request, caller, self._audit, why)
            except KeysUsedUp as why:
                raise used_up(why) from None
        response = await make()
        self.note_read(method, request, caller)
        details = rule.outcome(request, response) if rule is not None and rule.intent is None else None
        if rule is not None and details is not None:
            await self._add(caller, rule.action, details)
        return response

    def note_read(self, method: Method, request: Any, caller: Principal) -> None:
        """Counts a read for a tenant that records reads. Never waits and refuses nothing."""
        if caller.reads_told_every_minutes and method.row.reads is not None:
            for subject in read_details(method.row.name, method.row.reads, request):
                self.tallies.add(caller, "reads", subject, caller.reads_told_every_minutes * 60.0, calls=1)

    async def note_access(self, method: Method, caller: Principal) -> None:
        """Records a call of an operator with granted access, before it is made."""
        if caller.access_id:
            await self._add(caller, "access.use", {"method": method.name})

    async def _add(self, caller: Principal, action: str, details: Details) -> None:
        with translated_errors(), stage(Stage.AUDIT):
            await self._recorder.add(caller, action, details)


class RecordedElsewhere(CallRecording):
    """For a process that forwards every call that is to be recorded: it writes to no audit log."""

    async def around(
        self,
        method: Method,
        request: Any,
        caller: Principal,
        make: Callable[[], Awaitable[Any]],
        keyed: KeyedCall | None = None,
    ) -> Any:
        """Makes the call."""
        return await make()

    def note_read(self, method: Method, request: Any, caller: Principal) -> None:
        """Nothing: the reads of a tenant that records them are forwarded."""

    async def note_access(self, method: Method, caller: Principal) -> None:
        """Nothing: the calls of an operator with granted access are forwarded."""
