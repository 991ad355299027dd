"""Every metric of the service. docs/operations.md lists the same names (a test compares)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One server's metrics. Labels never hold a tenant, a collection, an id or anything that a caller sent."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter("afterimage_calls", "Finished calls.", ["method", "code"], registry=self.registry)
        self.call_seconds = Histogram(
            "afterimage_call_seconds", "Duration of calls.", ["method"], buckets=_CALL_SECONDS, registry=self.registry
        )
        self.calls_in_progress = Gauge("afterimage_calls_in_progress", "Running calls.", registry=self.registry)
        self.calls_refused = Counter(
            "afterimage_calls_refused", "Calls rejected by a limit.", ["limit"], registry=self.registry
        )
        self.failed_authentications = Counter(
            "afterimage_failed_authentications", "Calls without a valid key.", ["reason"], registry=self.registry
        )
        self.peers_dropped = Counter(
            "afterimage_peers_dropped",
            "Calls ended because the peer did not read the response.",
            registry=self.registry,
        )
        self.connections_closed = Counter(
            "afterimage_connections_closed",
            "Connections closed since they made too many calls without a key.",
            registry=self.registry,
        )
        self.in_flight_bytes = Gauge(
            "afterimage_in_flight_bytes", "Bytes of requests and responses in flight.", registry=self.registry
        )
        self.records = Counter(
            "afterimage_records", "Records written, by outcome.", ["outcome"], registry=self.registry
        )
        self.search_paths = Counter("afterimage_searches", "Searches, by path.", ["path"], registry=self.registry)
        self.picture_seconds = Histogram(
            "afterimage_picture_seconds",
            "Time of one picture, by stage.",
            ["stage"],
            buckets=_CALL_SECONDS,
            registry=self.registry,
        )
        self.pictures_refused = Counter(
            "afterimage_pictures_refused", "Pictures rejected because the queue was full.", registry=self.registry
        )
        self.encode_queue = Gauge(
            "afterimage_encode_queue_pictures",
            "Pictures being decoded or encoded, or waiting for it.",
            registry=self.registry,
        )
        self.collections_open = Gauge("afterimage_collections_open", "Collections in memory.", registry=self.registry)
        self.rows = Gauge("afterimage_rows", "Rows in memory, by state.", ["state"], registry=self.registry)
        self.index_bytes = Gauge(
            "afterimage_index_bytes", "Approximate memory of the loaded collections.", registry=self.registry
        )
        self.collections_damaged = Gauge(
            "afterimage_collections_damaged", "Loaded collections whose database has damaged pages.",
            registry=self.registry,
        )  # fmt: skip
        self.tenants_stopped = Gauge(
            "afterimage_tenants_stopped", "Tenants that are not served because of missing or damaged files.",
            registry=self.registry,
        )  # fmt: skip
        self.index_loads = Gauge(
            "afterimage_index_loads", "Collections loaded into memory since the start.", registry=self.registry
        )
        self.recall_lowest = Gauge(
            "afterimage_recall_lowest",
            "Lowest recall@10 of the loaded collections, compared with exact searches.",
            registry=self.registry,
        )
        self.sync_runs = Counter("afterimage_sync_runs", "Ended sync runs.", ["state"], registry=self.registry)
        self.sync_runs_working = Gauge("afterimage_sync_runs_working", "Sync runs in progress.", registry=self.registry)
        self.sync_oldest_success_s = Gauge(
            "afterimage_sync_oldest_success_seconds",
            "Time since the last success, of the scheduled source where it is longest.", registry=self.registry,
        )  # fmt: skip
        self.open_files = Gauge("afterimage_open_files", "Open files and sockets.", registry=self.registry)
        self.open_files_limit = Gauge(
            "afterimage_open_files_limit", "Maximum number of open files and sockets.", registry=self.registry
        )
        self.ready = Gauge("afterimage_ready", "1 while calls are accepted.", registry=self.registry)
        self.redis_up = Gauge("afterimage_redis_up", "1 while Redis answers.", registry=self.registry)
        self.build = Gauge("afterimage_build_info", "Always 1.", ["version"], registry=self.registry)

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)
