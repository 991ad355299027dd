"""Determines from the tenant's data whether an interrupted act was done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from index import AfterimageIndexError, Collection, SavedSearch, SavedSearchNotFound
from service.audit.acts import OpenAct
from service.encoder.manifest import OWN_PREFIX
from service.engine.engine import Engine
from service.errors import ServiceError
from service.sync.ledgers import Ledgers
from service.sync.model import RunState
from service.tenancy.access import AccessRequests
from service.training.stores import TrainingStores

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class StateParts:
    """The stores that show it."""

    engine: Engine
    ledgers: Ledgers
    stores: TrainingStores
    access: AccessRequests


class States:
    """The outcomes of all tenants. Thread-safe."""

    def __init__(self, parts: StateParts) -> None:
        self._parts, self._spaces = parts, parts.engine.spaces
        self._looks: dict[str, Callable[[str, OpenAct], bool | None]] = {
            "collection.create": self._collection_created, "collection.delete": self._collection_deleted,
            "search_report.set": self._report_set,
            "saved_search.create": self._search_saved, "saved_search.update": self._search_saved,
            "saved_search.restore": self._search_saved, "saved_search.delete": self._saved_search_deleted,
            "snapshot.create": self._snapshot_created, "snapshot.delete": self._snapshot_deleted,
            "snapshot.restore": self._snapshot_restored, "training_set.create": self._set_created,
            "training.cancel": self._training_cancelled, "model.train": self._training_begun,
            "model.publish": self._model_there,
            "source.create": self._source_created, "source.update": self._source_updated,
            "source.delete": self._source_deleted, "run.start": self._run_started, "run.retry": self._run_started,
            "run.approve": self._run_approved, "run.cancel": self._run_cancelled,
            "access.approve": self._access("approved", "revoked", "over"), "access.decline": self._access("declined"),
            "access.revoke": self._access("revoked"),
            "tenant.create": lambda uid, act: True,  # whose log can be read, is there
        }  # fmt: skip

    def look(self, tenant_uid: str, act: OpenAct) -> bool | None:
        """Whether it was done; None if unknown. Never raises: unreadable data counts as unknown."""
        found = self._looks.get(act.action)
        try:
            return found(tenant_uid, act) if found is not None else None
        except (AfterimageIndexError, ServiceError, OSError, KeyError) as error:
            _LOG.warning("the outcome of a change is unknown: %s", error, extra={"action": act.action})
            return None

    # ---- collections and snapshots

    def _collection_created(self, uid: str, act: OpenAct) -> bool:
        found = self._collection(uid, str(act.details["collection"]))
        return found is not None and _since(found.stats().created_ms, act)

    def _collection_deleted(self, uid: str, act: OpenAct) -> bool:
        return self._collection(uid, str(act.details["collection"])) is None

    def _report_set(self, uid: str, act: OpenAct) -> bool | None:
        found = self._collection(uid, str(act.details["collection"]))
        return None if found is None else found.search_tally().enabled == act.details["enabled"]

    def _search_saved(self, uid: str, act: OpenAct) -> bool | None:
        newest = self._newest(uid, act)
        return newest is not None and _since(newest.saved_ms, act)

    def _saved_search_deleted(self, uid: str, act: OpenAct) -> bool:
        return self._newest(uid, act) is None

    def _newest(self, uid: str, act: OpenAct) -> SavedSearch | None:
        found = self._collection(uid, str(act.details["collection"]))
        try:
            return None if found is None else found.saved_searches.get(str(act.details["saved_search"]))
        except SavedSearchNotFound:
            return None

    def _snapshot_created(self, uid: str, act: OpenAct) -> bool | None:
        found = self._collection(uid, str(act.details["collection"]))
        return None if found is None else any(_since(s.created_ms, act) for s in found.kept.list())

    def _snapshot_deleted(self, uid: str, act: OpenAct) -> bool | None:
        found = self._collection(uid, str(act.details["collection"]))
        return None if found is None else str(act.details["snapshot"]) not in found.kept.ids()

    def _snapshot_restored(self, uid: str, act: OpenAct) -> bool | None:
        """A replaced collection cannot be told from its replacement."""
        return None if self._collection(uid, str(act.details["target"])) is not None else False

    def _collection(self, uid: str, name: str) -> Collection | None:
        return next((c for c in self._spaces.directory(uid).every() if c.spec.name == name), None)

    # ---- training

    def _set_created(self, uid: str, act: OpenAct) -> bool:
        found = self._parts.stores.of(uid).set_named(str(act.details["training_set"]))
        return found is not None and _since(found.created_ms, act)

    def _training_begun(self, uid: str, act: OpenAct) -> bool:
        made = self._parts.stores.of(uid).trainings()
        wanted = (act.details["training_set"], OWN_PREFIX + str(act.details["model"]))
        return any(_since(t.created_ms, act) and (t.request.training_set, t.request.model_name) == wanted for t in made)

    def _training_cancelled(self, uid: str, act: OpenAct) -> bool:
        found = self._parts.stores.of(uid).training(str(act.details["training"]))
        return found is not None and str(found.state) in ("cancelling", "cancelled")

    def _model_there(self, uid: str, act: OpenAct) -> bool:
        return any(m.encoder_id == act.details["model"] for m in self._parts.stores.of(uid).models())

    # ---- syncs

    def _source_created(self, uid: str, act: OpenAct) -> bool:
        return any(
            s.config.name == act.details["source"] and _since(s.created_ms, act)
            for s in self._parts.ledgers.of(uid).sources()
        )

    def _source_updated(self, uid: str, act: OpenAct) -> bool:
        return any(
            act.details["source"] in (s.config.name, s.source_id) and _since(s.updated_ms, act)
            for s in self._parts.ledgers.of(uid).sources()
        )

    def _source_deleted(self, uid: str, act: OpenAct) -> bool:
        there = self._parts.ledgers.of(uid).sources()
        return not any(act.details["source"] in (s.config.name, s.source_id) for s in there)

    def _run_started(self, uid: str, act: OpenAct) -> bool:
        ledger = self._parts.ledgers.of(uid)
        source = ledger.source(str(act.details["source"]))
        begun = (r for r in ledger.runs(source.source_id) if r.trigger != "schedule")
        return any(_since(r.created_ms, act) for r in begun)

    def _run_approved(self, uid: str, act: OpenAct) -> bool:
        return bool(self._parts.ledgers.of(uid).run(str(act.details["run"])).approved)

    def _run_cancelled(self, uid: str, act: OpenAct) -> bool:
        state = self._parts.ledgers.of(uid).run(str(act.details["run"])).state
        return state in (RunState.CANCELLING, RunState.CANCELLED)

    # ---- access

    def _access(self, *states: str) -> Callable[[str, OpenAct], bool]:
        return lambda uid, act: self._parts.access.one(uid, str(act.details["request"])).state in states


def _since(time_ms: int, act: OpenAct) -> bool:
    """Whether something was created or changed after the act's intent, by the same clock."""
    return time_ms >= act.time_ms
