"""AdminService."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from afterimage.v1 import admin_service_pb2 as pb
from index import Backup
from service.engine.engine import Engine
from service.engine.faults import translated_errors
from service.handlers.conversion.values import timestamp
from service.handlers.reports import Reports
from service.sync.synchronisation import Synchronisation
from service.tenancy.keyring import Principal

P = ParamSpec("P")
T = TypeVar("T")


class AdminHandlers:
    """Documented in admin_service.proto."""

    def __init__(self, engine: Engine, sync: Synchronisation, reports: Reports) -> None:
        self._engine, self._sync, self._reports = engine, sync, reports

    async def CreateSnapshot(self, request: pb.CreateSnapshotRequest, caller: Principal) -> pb.CreateSnapshotResponse:
        """Copies the current state of a collection."""
        collection = await self._engine.collection(caller, request.collection)
        made = await self._run(collection.keep_snapshot)
        return pb.CreateSnapshotResponse(snapshot=_to_message(made))

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest, caller: Principal) -> pb.ListSnapshotsResponse:
        """Returns the snapshots of a collection."""
        directory = await self._engine.directory(caller)
        found = await self._run(lambda: directory.kept(request.collection).list())
        return pb.ListSnapshotsResponse(snapshots=[_to_message(s) for s in found])

    async def RestoreSnapshot(
        self, request: pb.RestoreSnapshotRequest, caller: Principal
    ) -> pb.RestoreSnapshotResponse:
        """Creates a collection from a snapshot."""
        directory = await self._engine.directory(caller)
        target = request.target or request.collection
        made = await self._run(
            directory.restore, request.collection, request.snapshot_id, target, replacing=request.replace
        )
        stats = await self._run(made.stats)
        return pb.RestoreSnapshotResponse(collection=made.spec.name, record_count=stats.records)

    async def VerifySnapshot(self, request: pb.VerifySnapshotRequest, caller: Principal) -> pb.VerifySnapshotResponse:
        """Returns the problems of a snapshot."""
        directory = await self._engine.directory(caller)
        problems = await self._run(lambda: list(directory.kept(request.collection).problems(request.snapshot_id)))
        return pb.VerifySnapshotResponse(problems=problems)

    async def DeleteSnapshot(self, request: pb.DeleteSnapshotRequest, caller: Principal) -> pb.DeleteSnapshotResponse:
        """Deletes a snapshot."""
        directory = await self._engine.directory(caller)
        await self._run(lambda: directory.kept(request.collection).delete(request.snapshot_id))
        return pb.DeleteSnapshotResponse()

    async def GetIndexStats(self, request: pb.GetIndexStatsRequest, caller: Principal) -> pb.GetIndexStatsResponse:
        """Returns figures about the index of a collection."""
        collection = await self._engine.collection(caller, request.collection)
        stats = await self._run(collection.loaded_stats)
        return pb.GetIndexStatsResponse(
            record_count=stats.records,
            tombstone_count=stats.tombstones,
            base_rows=stats.ann_rows,
            memory_bytes=stats.memory_bytes,
            sequence=stats.sequence,
            saved_sequence=stats.snapshot_sequence,
            recall=stats.recall,
            recall_sample=stats.recall_sample,
            search_effort=stats.search_effort,
            learning_gain=stats.learning_gain,
            learned=stats.learned,
        )

    async def RebuildIndex(self, request: pb.RebuildIndexRequest, caller: Principal) -> pb.RebuildIndexResponse:
        """Rebuilds the index."""
        collection = await self._engine.collection(caller, request.collection)
        built = await self._run(collection.build_ann_index, anew=True)
        return pb.RebuildIndexResponse(built=built)

    async def VerifyIndex(self, request: pb.VerifyIndexRequest, caller: Principal) -> pb.VerifyIndexResponse:
        """Returns the problems of a collection."""
        collection = await self._engine.collection(caller, request.collection)
        problems = await self._run(lambda: list(collection.problems()))
        return pb.VerifyIndexResponse(problems=problems)

    async def ExchangeCollections(
        self, request: pb.ExchangeCollectionsRequest, caller: Principal
    ) -> pb.ExchangeCollectionsResponse:
        """Exchanges the names of two collections."""
        await self._sync.exchange(caller, request.collection, request.other)
        return pb.ExchangeCollectionsResponse()

    async def GetUsage(self, request: pb.GetUsageRequest, caller: Principal) -> pb.GetUsageResponse:
        """Returns what the tenant stores, and its limits."""
        directory = await self._engine.directory(caller)
        used = await self._run(directory.allowance.used)
        limits = await self._run(self._engine.spaces.limits, caller.tenant_uid)
        today = await self._engine.allowances.pictures_today(caller.tenant_uid)
        return pb.GetUsageResponse(
            record_count=used.records, stored_bytes=used.bytes, collection_count=directory.collection_count,
            pictures_today=today, max_records=limits.records, max_stored_bytes=limits.bytes,
            max_collections=limits.collections, max_pictures_per_day=limits.pictures_per_day, max_runs=limits.runs,
            max_requests_per_second=limits.requests_per_s, key_max_requests_per_second=caller.key_requests_per_s,
        )  # fmt: skip

    async def GetSearchReport(
        self, request: pb.GetSearchReportRequest, caller: Principal
    ) -> pb.GetSearchReportResponse:
        """Returns how good searches were, by day."""
        return await self._reports.searches(request, caller)

    async def SetSearchReport(
        self, request: pb.SetSearchReportRequest, caller: Principal
    ) -> pb.SetSearchReportResponse:
        """Starts or stops counting searches."""
        await self._reports.count_searches(request, caller)
        return pb.SetSearchReportResponse()

    async def GetPrivacyReport(
        self, request: pb.GetPrivacyReportRequest, caller: Principal
    ) -> pb.GetPrivacyReportResponse:
        """Returns what protects the tenant's pictures, and what is kept of them."""
        return await self._reports.privacy(caller)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with translated_errors():
            return await self._engine.workers.upkeep(function, *args, **kwargs)


def _to_message(snapshot: Backup) -> pb.Snapshot:
    return pb.Snapshot(
        snapshot_id=snapshot.snapshot_id,
        collection=snapshot.spec.name,
        create_time=timestamp(snapshot.created_ms),
        sequence=snapshot.sequence,
        record_count=snapshot.records,
        size_bytes=snapshot.bytes,
        encoder_id=snapshot.spec.encoder_id,
        encoder_fingerprint=snapshot.spec.encoder_fingerprint,
    )
