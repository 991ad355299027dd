"""Every metric of the service, as a table. docs/operations.md lists the same names (a test compares)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SLOW_SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
_CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
M = TypeVar("M")


class _Metric(Generic[M]):
    """A row of the table: each `Metrics` has a metric of its own of it."""

    def __init__(
        self, kind: type[M], name: str, text: str, *labels: str, buckets: tuple[float, ...] = _CALL_SECONDS
    ) -> None:
        """`buckets`: of a histogram, in seconds."""
        self._kind, self._name, self._text, self._labels, self._buckets = kind, name, text, labels, buckets

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name

    def __get__(self, metrics: object, owner: type | None = None) -> M:
        found: M = metrics.__dict__["_made"][self._attribute]
        return found

    def make(self, registry: CollectorRegistry) -> M:
        """The metric, registered."""
        kind, more = cast("Callable[..., M]", self._kind), {"buckets": self._buckets} if self._kind is Histogram else {}
        return kind(self._name, self._text, self._labels, registry=registry, **more)


class _Registry:
    """Metrics of a table, registered."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        rows = {name: row for name, row in vars(type(self)).items() if isinstance(row, _Metric)}
        self._made = {name: row.make(self.registry) for name, row in rows.items()}

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)


class Metrics(_Registry):
    """One server's metrics. Labels never hold a tenant, a collection, a name, or anything that a caller sent.

    The only id in a label is that of a catalogue source, which the server made.
    """

    calls = _Metric(Counter, "afterimage_calls", "Finished calls.", "method", "code", "transport")
    call_seconds = _Metric(Histogram, "afterimage_call_seconds", "Duration of calls.", "method", "transport")
    calls_in_progress = _Metric(Gauge, "afterimage_calls_in_progress", "Running calls.")
    changes_in_progress = _Metric(
        Gauge, "afterimage_changes_in_progress", "Audited work that is made or recorded, whether or not a caller waits."
    )
    calls_refused = _Metric(Counter, "afterimage_calls_refused", "Calls rejected by a limit.", "limit")
    failed_authentications = _Metric(
        Counter, "afterimage_failed_authentications", "Calls without a valid key.", "reason"
    )
    peers_dropped = _Metric(
        Counter, "afterimage_peers_dropped", "Calls ended because the peer did not read the response."
    )
    connections_closed = _Metric(
        Counter,
        "afterimage_connections_closed",
        "Connections closed that came or called too often without a key.",
    )
    blocked_addresses = _Metric(
        Gauge, "afterimage_blocked_addresses", "Addresses that are ignored since they use no key and come without end."
    )
    http_connections = _Metric(Gauge, "afterimage_http_connections", "Open connections of the HTTP port.")
    http_connections_closed = _Metric(
        Counter, "afterimage_http_connections_closed", "Connections of the HTTP port closed by a limit.", "limit"
    )
    http_requests = _Metric(
        Counter, "afterimage_http_requests", "Requests to the HTTP ports, by door and status.", "door", "code"
    )
    quota_refusals = _Metric(Counter, "afterimage_quota_refusals", "Work refused by a tenant's quota.", "quota")
    in_flight_bytes = _Metric(Gauge, "afterimage_in_flight_bytes", "Bytes of requests and responses in flight.")
    records = _Metric(Counter, "afterimage_records", "Records written, by outcome.", "outcome")
    search_paths = _Metric(Counter, "afterimage_searches", "Searches, by path.", "path")
    picture_seconds = _Metric(Histogram, "afterimage_picture_seconds", "Time of one picture, by stage.", "stage")
    fetches = _Metric(Counter, "afterimage_fetches", "Downloads from URLs, by outcome.", "kind", "reason")
    fetch_seconds = _Metric(
        Histogram, "afterimage_fetch_seconds", "Duration of downloads.", "kind", buckets=_SLOW_SECONDS
    )
    pictures_refused = _Metric(Counter, "afterimage_pictures_refused", "Pictures rejected because the queue was full.")
    encode_queue = _Metric(
        Gauge, "afterimage_encode_queue_pictures", "Pictures being decoded or encoded, or waiting for it."
    )
    collections_open = _Metric(Gauge, "afterimage_collections_open", "Collections in memory.")
    rows = _Metric(Gauge, "afterimage_rows", "Rows in memory, by state.", "state")
    index_bytes = _Metric(Gauge, "afterimage_index_bytes", "Approximate memory of the loaded collections.")
    collections_damaged = _Metric(
        Gauge,
        "afterimage_collections_damaged",
        "Collections in whose database a call met damaged pages.",
    )
    tenants_stopped = _Metric(
        Gauge, "afterimage_tenants_stopped", "Tenants that are not served because of missing or damaged files."
    )
    index_loads = _Metric(Gauge, "afterimage_index_loads", "Collections loaded into memory since the start.")
    recall_lowest = _Metric(
        Gauge, "afterimage_recall_lowest", "Lowest recall@10 of the loaded collections, compared with exact searches."
    )
    erasures = _Metric(Counter, "afterimage_erasures", "Permanent erasures, by what was erased.", "kind")
    erasure_seconds = _Metric(
        Histogram, "afterimage_erasure_seconds", "Duration of erasures, until nothing is left.", buckets=_SLOW_SECONDS
    )
    policy_changes = _Metric(
        Counter, "afterimage_policy_changes", "Changes of picture policies, by the new one.", "policy"
    )
    tenants = _Metric(Gauge, "afterimage_tenants", "Tenants, by state.", "state")
    audit_head_age_s = _Metric(
        Gauge, "afterimage_audit_head_age_seconds", "Time since the newest entry of the audit logs that are open."
    )
    sync_runs = _Metric(Counter, "afterimage_sync_runs", "Ended sync runs.", "state")
    sync_runs_working = _Metric(Gauge, "afterimage_sync_runs_working", "Sync runs in progress.")
    sync_oldest_success_s = _Metric(
        Gauge,
        "afterimage_sync_oldest_success_seconds",
        "Time since the last success, of the scheduled source where it is longest.",
    )
    sync_source_success_s = _Metric(
        Gauge, "afterimage_sync_source_success_age_seconds", "Time since the last success of a scheduled source.",
        "source",
    )  # fmt: skip
    spans = _Metric(Counter, "afterimage_spans", "Spans of traces, by outcome.", "outcome")
    open_files = _Metric(Gauge, "afterimage_open_files", "Open files and sockets.")
    open_files_limit = _Metric(Gauge, "afterimage_open_files_limit", "Maximum number of open files and sockets.")
    ready = _Metric(Gauge, "afterimage_ready", "1 while calls are accepted.")
    redis_up = _Metric(Gauge, "afterimage_redis_up", "1 while Redis answers.")
    build = _Metric(Gauge, "afterimage_build_info", "Always 1.", "version")

    def __init__(self) -> None:
        super().__init__()
        ProcessCollector(registry=self.registry)


class CollectionMetrics(_Registry):
    """Metrics of each collection in memory, shown only to those who ask for them: there may be thousands."""

    recall = _Metric(
        Gauge, "afterimage_collection_recall", "recall@10 of a collection, compared with exact searches.", "collection"
    )
    recall_sample = _Metric(
        Gauge, "afterimage_collection_recall_searches", "Searches behind the recall of a collection.", "collection"
    )
    rows = _Metric(Gauge, "afterimage_collection_records", "Records of a collection.", "collection")
