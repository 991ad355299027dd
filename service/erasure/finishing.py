"""Finishes interrupted erasures, when the call is repeated or in the background."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from index import AfterimageIndexError
from service.audit.acts import KeptReceipt, OpenAct
from service.audit.chain import Details
from service.audit.logs import AuditLogs
from service.audit.recorder import Act, Recorder, outcome_of
from service.erasure.model import MODEL, Erasure, receipt_from
from service.erasure.receipts import Erased, Receipt, certify, subjects_digest
from service.erasure.remains import Remains
from service.errors import ServiceError
from service.metrics import Metrics
from service.runtime.clock import now_ms

_LOG = logging.getLogger(__name__)
_SERVER = "server"
_ERASURE = "erasure"


@dataclass(frozen=True)
class Earlier:
    """Earlier calls for the same erasure.

    - `begun`: open acts.
    - `receipt`: a receipt that was not handed out, of the act `number`.
    """

    begun: Sequence[OpenAct] = ()
    receipt: Receipt | None = None
    number: int = 0

    @property
    def records(self) -> int:
        """The number of records that the open acts erased."""
        return sum(e.records for e in (Erasure.from_json(a.resume) for a in self.begun) if e.gone)


class Finishing:
    """Finishes erasures of all tenants, on one event loop."""

    def __init__(self, logs: AuditLogs, recorder: Recorder, remains: Remains, metrics: Metrics) -> None:
        self._logs, self._recorder, self._remains, self._metrics = logs, recorder, remains, metrics
        self._locks: weakref.WeakValueDictionary[tuple[str, str], asyncio.Lock] = weakref.WeakValueDictionary()
        self._all_checked = False

    def alone(self, tenant_uid: str, place: str) -> asyncio.Lock:
        """A lock to hold while something of that name is erased."""
        return self._locks.setdefault((tenant_uid, place), asyncio.Lock())

    async def earlier(self, act: Act, erasure: Erasure, ids: Sequence[str] = ()) -> Earlier:
        """Earlier calls for the same. Raises StoreUnavailable."""
        return await asyncio.to_thread(self._earlier, act, erasure, ids)

    async def certified(self, act: Act, erasure: Erasure, closes: Sequence[OpenAct] = ()) -> Receipt:
        """A receipt for what the act erased, stored until it is handed out.

        `closes`: acts that are finished with it. Raises StoreUnavailable.
        """
        receipt = self._receipt(act.tenant_uid, erasure)
        act.receipt = _kept(erasure, receipt)
        await asyncio.to_thread(self._close, act, receipt, closes)
        self._count(act.begun, erasure)
        return receipt

    async def take_over(self, act: Act, closes: Sequence[OpenAct]) -> None:
        """Closes acts whose erasure the current act finishes, and notes in it what they erased.

        Raises StoreUnavailable.
        """
        await asyncio.to_thread(self._take_over, act, closes)

    async def finish_earlier(self, act: Act, what: str, place: str, missing: ServiceError) -> Receipt | None:
        """Finishes an erasure that an earlier call began. Returns its receipt, or None if it has none.

        Raises `missing` if there was no such call, and ServiceError (UNAVAILABLE) if it cannot be finished yet.
        """
        uid = act.tenant_uid
        act.changes_nothing()
        begun = await asyncio.to_thread(self._begun, uid, what, place, act.begun.number)
        for one in reversed(begun):
            if await self._remains.gone(uid, Erasure.from_json(one.resume)):
                receipt = await self._finish(uid, one, act.begun.actor)
                act.finishes(one.number)
                return receipt
        log = await asyncio.to_thread(self._logs.of, uid)
        kept = await asyncio.to_thread(log.receipts, what, place)
        if not kept:
            raise missing
        act.finishes(kept[0][0])
        return receipt_from(kept[0][1].fields)

    async def finish_all(self) -> None:
        """Finishes every erasure that can be finished. Failures are logged and tried again next time."""
        for uid in await asyncio.to_thread(self._uids_to_check):
            try:
                for act in await asyncio.to_thread(self._unfinished, uid):
                    async with self.alone(uid, str(act.resume["place"])):
                        if any(a.number == act.number for a in await asyncio.to_thread(self._unfinished, uid)):
                            await self._finish(uid, act, _SERVER)
            except (ServiceError, AfterimageIndexError, OSError) as error:
                _LOG.warning("could not complete an unfinished erasure; retrying: %s", error)

    async def _finish(self, uid: str, act: OpenAct, by: str) -> Receipt | None:
        erasure = Erasure.from_json(act.resume)
        gone = await self._remains.gone(uid, erasure)
        if not gone:
            await asyncio.to_thread(lambda: self._logs.of(uid).end(act, {}, outcome_of(gone), by=by))
            return None
        await self._remains.sweep(uid, erasure)
        receipt = None if erasure.what == MODEL else self._receipt(uid, erasure)
        await asyncio.to_thread(self._end, uid, act, erasure, receipt, by)
        self._count(act, erasure)
        return receipt

    def _count(self, act: OpenAct, erasure: Erasure) -> None:
        self._metrics.erasures.labels(erasure.what).inc()
        self._metrics.erasure_seconds.observe(max(0.0, (now_ms() - act.time_ms) / 1000))

    # ---- for threads

    def _end(self, uid: str, act: OpenAct, erasure: Erasure, receipt: Receipt | None, by: str) -> None:
        log = self._logs.of(uid)
        if receipt is None:
            log.end(act, act.details, by=by)
        elif act.action == _ERASURE:
            log.end(act, _details(receipt), by=by, receipt=_kept(erasure, receipt))
        elif not erasure.records:
            log.end(act, act.details, by=by)
        else:
            log.add(by, _ERASURE, _details(receipt))
            log.end(act, act.details, by=by, receipt=_kept(erasure, receipt))

    def _close(self, act: Act, receipt: Receipt, closes: Sequence[OpenAct]) -> None:
        log = self._logs.of(act.tenant_uid)
        if act.begun.action != _ERASURE:
            log.add(act.begun.actor, _ERASURE, _details(receipt))
        self._take_over(act, closes)

    def _take_over(self, act: Act, closes: Sequence[OpenAct]) -> None:
        log = self._logs.of(act.tenant_uid)
        by: Details = {"finished_by": act.begun.number}
        for one in closes:
            if _was_done(one, act):
                log.end(one, {**one.details, **by}, by=act.begun.actor)
            else:
                log.end(one, by, "finished", by=act.begun.actor)

    def _earlier(self, act: Act, erasure: Erasure, ids: Sequence[str]) -> Earlier:
        begun = self._begun(act.tenant_uid, erasure.what, erasure.place, act.begun.number)
        same = [a for a in begun if _same(Erasure.from_json(a.resume), erasure, ids)]
        for number, kept in self._logs.of(act.tenant_uid).receipts(erasure.what, erasure.place):
            receipt = receipt_from(kept.fields)
            if not erasure.subjects or subjects_digest(receipt.nonce, ids) == receipt.subjects:
                return Earlier(same, receipt, number)
        return Earlier(same)

    def _begun(self, uid: str, what: str, place: str, but: int) -> list[OpenAct]:
        found = [a for a in self._unfinished(uid) if a.number != but]
        return [a for a in found if (a.resume["what"], a.resume["place"]) == (what, place)]

    def _unfinished(self, uid: str) -> list[OpenAct]:
        acts = self._logs.of(uid).open_acts()
        return [a for a in acts if a.resume and not self._recorder.is_making(uid, a.number)]

    def _uids_to_check(self) -> list[str]:
        uids = self._logs.opened() if self._all_checked else self._logs.existing()
        self._all_checked = True
        for uid in uids:
            try:
                self._recorder.resolve_open_acts(uid)
            except (AfterimageIndexError, OSError) as error:
                _LOG.warning("an audit log is unusable: %s", error)
        return uids

    def _receipt(self, uid: str, erasure: Erasure) -> Receipt:
        erased = Erased(
            uid, erasure.what, erasure.place, erasure.records, now_ms(), (), erasure.sequence, erasure.snapshots,
            erasure.nonce, erasure.subjects,
        )  # fmt: skip
        return certify(erased, self._logs.signer)


def _same(earlier: Erasure, erasure: Erasure, ids: Sequence[str]) -> bool:
    return earlier.home == erasure.home and (not erasure.subjects or earlier.is_about(ids))


def _was_done(one: OpenAct, act: Act) -> bool:
    """Whether an act that another one finishes made its own change.

    An example is a policy that was changed before its pictures are deleted.
    """
    if one.action == _ERASURE or act.resume is None:
        return False
    return Erasure.from_json(one.resume).version < Erasure.from_json(act.resume).version


def _kept(erasure: Erasure, receipt: Receipt) -> KeptReceipt:
    return KeptReceipt(
        erasure.what, erasure.place, erasure.subjects, {**receipt.to_dict(), "signature": receipt.signature}
    )


def _details(receipt: Receipt) -> Details:
    return {
        "what": receipt.what, "collection": receipt.collection, "records": receipt.records,
        "receipt": receipt.receipt_id,
    }  # fmt: skip
