"""Reports to a tenant: how good its searches were, and what protects its pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from afterimage.v1 import admin_service_pb2 as pb
from index import Collection
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.handlers.conversion.values import from_policy, within
from service.handlers.request_limits import DEFAULT_REPORT_DAYS, MAX_REPORT_DAYS, MAX_REPORTED_COLLECTIONS
from service.handlers.searches.search_report import date_of, today
from service.runtime.protections import Protection
from service.tenancy.access import AccessRequests
from service.tenancy.keyring import Principal
from service.tenancy.limits import ReadAudit
from service.training.stores import TrainingStores

_STATES: dict[str, pb.ProtectionState.ValueType] = {
    "ok": pb.PROTECTION_STATE_OK, "warning": pb.PROTECTION_STATE_WARNING, "failed": pb.PROTECTION_STATE_FAILED,
}  # fmt: skip


@dataclass(frozen=True)
class ReportSources:
    """What the reports are read from. `protections`: of this process; called in a thread."""

    protections: Callable[[], list[Protection]]
    access: AccessRequests
    read_audit: ReadAudit
    training: TrainingStores
    region: Callable[[str], str]


class Reports:
    """Makes the reports of one tenant each."""

    def __init__(self, engine: Engine, sources: ReportSources) -> None:
        self._engine, self._sources = engine, sources

    async def searches(self, request: pb.GetSearchReportRequest, caller: Principal) -> pb.GetSearchReportResponse:
        """Returns the counts of the last days. Raises ServiceError."""
        days = within("days", request.days, 0, MAX_REPORT_DAYS) or DEFAULT_REPORT_DAYS
        collection = await self._engine.collection(caller, request.collection)
        with translated_errors():
            tally = await self._engine.workers.read(collection.search_tally)
        first = today() - days
        return pb.GetSearchReportResponse(
            enabled=tally.enabled,
            days=[
                pb.SearchDay(
                    date=date_of(day.day), search_count=day.without_hit + sum(day.best),
                    without_hit_count=day.without_hit, best_score_counts=day.best,
                )
                for day in tally.days if day.day > first
            ],
        )  # fmt: skip

    async def count_searches(self, request: pb.SetSearchReportRequest, caller: Principal) -> None:
        """Starts or stops the counts of a collection. Raises ServiceError."""
        collection = await self._engine.collection(caller, request.collection)
        with translated_errors():
            await self._engine.workers.write(collection.enable_tally, request.enabled)

    async def privacy(self, caller: Principal) -> pb.GetPrivacyReportResponse:
        """Returns the protections, and what is kept of the tenant's pictures. Raises ServiceError."""
        directory = await self._engine.directory(caller)
        names = directory.names(limit=MAX_REPORTED_COLLECTIONS)
        collections = [await self._engine.collection(caller, name) for name in names]
        with translated_errors():
            return await self._engine.workers.upkeep(self._privacy, caller.tenant_uid, collections)

    def _privacy(self, tenant_uid: str, collections: list[Collection]) -> pb.GetPrivacyReportResponse:
        sources = self._sources
        states = [request.state for request in sources.access.of(tenant_uid)]
        store = sources.training.of(tenant_uid)
        return pb.GetPrivacyReportResponse(
            protections=[
                pb.Protection(name=p.name, state=_STATES[p.state], detail=p.detail)
                for p in sources.protections()
            ],
            collections=[_kept_of(collection) for collection in collections],
            training_picture_count=sum(found.examples for found in store.sets()),
            model_count=len(store.models()),
            region=sources.region(tenant_uid),
            read_audit_minutes=sources.read_audit.every_minutes(tenant_uid),
            approved_access_count=states.count("approved"),
            open_access_count=states.count("pending"),
        )  # fmt: skip


def _kept_of(collection: Collection) -> pb.KeptOfCollection:
    """Reads a collection that is not in memory from its files."""
    kept = collection.pictures.counts()
    return pb.KeptOfCollection(
        collection=collection.spec.name, picture_policy=from_policy(collection.spec.picture_policy),
        record_count=collection.stats().records, copy_count=kept.copies, copy_bytes=kept.bytes, url_count=kept.urls,
        snapshot_count=len(collection.kept.ids()), judged_pair_count=collection.judged_pairs.count(),
        feedback_count=collection.feedback.count(),
    )  # fmt: skip
