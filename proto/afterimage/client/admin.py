"""Administration: snapshots, the index of a collection, usage of the tenant. See `calls`."""

from __future__ import annotations

from datetime import timezone
from typing import Any

from afterimage.client.calls import Call
from afterimage.client.values import (
    IndexStats,
    KeptOfCollection,
    PrivacyReport,
    Protection,
    SearchDay,
    SearchReport,
    Snapshot,
    Usage,
)
from afterimage.v1 import admin_service_pb2 as pb
from afterimage.v1.collection_service_pb2 import PicturePolicy

_PATIENCE_S = 3600.0  # work that grows with a collection


def create_snapshot(collection: str) -> Call[Snapshot]:
    """Copies the current state of a collection, while reads and writes continue."""
    request = pb.CreateSnapshotRequest(collection=collection)
    return Call(
        "AdminService", "CreateSnapshot", request, lambda r: _snapshot(r.snapshot), retry_safe=False,
        timeout_s=_PATIENCE_S,
    )  # fmt: skip


def list_snapshots(collection: str) -> Call[list[Snapshot]]:
    """Returns the snapshots of a collection, newest first."""
    request = pb.ListSnapshotsRequest(collection=collection)
    return Call("AdminService", "ListSnapshots", request, lambda r: [_snapshot(s) for s in r.snapshots])


def restore_snapshot(
    collection: str, snapshot_id: str, *, target: str = "", replace: bool = False
) -> Call[tuple[str, int]]:
    """Creates the collection `target` from a snapshot, or replaces it if `replace` is set.

    Returns its name and its number of records.
    """
    request = pb.RestoreSnapshotRequest(collection=collection, snapshot_id=snapshot_id, target=target, replace=replace)
    return Call(
        "AdminService", "RestoreSnapshot", request, lambda r: (r.collection, int(r.record_count)), retry_safe=False,
        timeout_s=_PATIENCE_S,
    )  # fmt: skip


def verify_snapshot(collection: str, snapshot_id: str) -> Call[list[str]]:
    """Returns the problems of a snapshot, one line each; empty if it is intact."""
    request = pb.VerifySnapshotRequest(collection=collection, snapshot_id=snapshot_id)
    return Call("AdminService", "VerifySnapshot", request, lambda r: list(r.problems), timeout_s=_PATIENCE_S)


def delete_snapshot(collection: str, snapshot_id: str) -> Call[None]:
    """Permanently deletes a snapshot."""
    request = pb.DeleteSnapshotRequest(collection=collection, snapshot_id=snapshot_id)
    return Call("AdminService", "DeleteSnapshot", request, lambda _: None, retry_safe=False)


def index_stats(collection: str) -> Call[IndexStats]:
    """Returns the structure of a collection's index and its measured recall."""
    return Call("AdminService", "GetIndexStats", pb.GetIndexStatsRequest(collection=collection), _index_stats)


def rebuild_index(collection: str) -> Call[bool]:
    """Rebuilds the index while searches continue. Returns False if the collection is too small for one."""
    request = pb.RebuildIndexRequest(collection=collection)
    return Call("AdminService", "RebuildIndex", request, lambda r: bool(r.built), timeout_s=_PATIENCE_S)


def verify_index(collection: str) -> Call[list[str]]:
    """Compares store, memory and files. Returns the problems, one line each."""
    request = pb.VerifyIndexRequest(collection=collection)
    return Call("AdminService", "VerifyIndex", request, lambda r: list(r.problems), timeout_s=_PATIENCE_S)


def exchange_collections(collection: str, other: str) -> Call[None]:
    """Atomically exchanges the names of two collections."""
    request = pb.ExchangeCollectionsRequest(collection=collection, other=other)
    return Call("AdminService", "ExchangeCollections", request, lambda _: None, retry_safe=False)


def usage() -> Call[Usage]:
    """Returns what the tenant stores, and its limits (0: no limit)."""
    return Call(
        "AdminService", "GetUsage", pb.GetUsageRequest(),
        lambda r: Usage(
            r.record_count, r.stored_bytes, r.max_records, r.max_stored_bytes, r.collection_count, r.max_collections,
            r.pictures_today, r.max_pictures_per_day, r.max_runs, r.max_requests_per_second,
            r.key_max_requests_per_second,
        ),
    )  # fmt: skip


def search_report(collection: str, *, days: int = 0) -> Call[SearchReport]:
    """Returns how good the best hits of the searches in a collection were, for the last 1 to 90 days; 0: 30."""
    request = pb.GetSearchReportRequest(collection=collection, days=days)
    return Call("AdminService", "GetSearchReport", request, _search_report)


def set_search_report(collection: str, *, enabled: bool) -> Call[None]:
    """Starts or stops counting the searches in a collection. Stopping deletes the counts."""
    request = pb.SetSearchReportRequest(collection=collection, enabled=enabled)
    return Call("AdminService", "SetSearchReport", request, lambda _: None)


def privacy_report() -> Call[PrivacyReport]:
    """Returns which protections of pictures are active on the server, and what it keeps of the tenant's pictures."""
    return Call("AdminService", "GetPrivacyReport", pb.GetPrivacyReportRequest(), _privacy_report)


def _search_report(message: Any) -> SearchReport:
    days = [SearchDay(d.date, d.search_count, d.without_hit_count, tuple(d.best_score_counts)) for d in message.days]
    return SearchReport(message.enabled, tuple(days))


def _privacy_report(message: Any) -> PrivacyReport:
    states = pb.ProtectionState
    return PrivacyReport(
        tuple(
            Protection(p.name, states.Name(p.state).removeprefix("PROTECTION_STATE_").lower(), p.detail)
            for p in message.protections
        ),
        tuple(
            KeptOfCollection(
                c.collection, PicturePolicy.Name(c.picture_policy).removeprefix("PICTURE_POLICY_"), c.record_count,
                c.copy_count, c.copy_bytes, c.url_count, c.snapshot_count, c.judged_pair_count, c.feedback_count,
            )
            for c in message.collections
        ),
        message.training_picture_count, message.model_count, message.region, message.read_audit_minutes,
        message.approved_access_count, message.open_access_count,
    )  # fmt: skip


def _snapshot(message: Any) -> Snapshot:
    return Snapshot(
        message.snapshot_id, message.collection, message.create_time.ToDatetime(timezone.utc), message.sequence,
        message.record_count, message.size_bytes, message.encoder_id, message.encoder_fingerprint,
    )  # fmt: skip


def _index_stats(message: Any) -> IndexStats:
    return IndexStats(
        message.record_count, message.tombstone_count, message.base_rows, message.memory_bytes, message.sequence,
        message.saved_sequence, message.recall if message.HasField("recall") else None, message.recall_sample,
        message.search_effort, message.learning_gain if message.HasField("learning_gain") else None, message.learned,
    )  # fmt: skip
