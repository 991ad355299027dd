"""From two readings of the metrics to rates and percentiles in between."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from service.cli.monitoring.metrics_page import Reading


@dataclass(frozen=True)
class Duration:
    """How often something happened, per second, and how long it took: mean and percentiles in ms; None: not at all."""

    name: str
    per_s: float
    mean_ms: float | None
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class CallFigures(Duration):
    """Calls of a method. `failed_per_s`: those that did not end with OK."""

    failed_per_s: float = 0.0


@dataclass(frozen=True)
class CollectionFigures:
    """A collection in memory. `collection`: its id. `recall`: None if it was not measured."""

    collection: str
    records: int
    recall: float | None


@dataclass(frozen=True)
class Figures:
    """What a server does. Rates are per second, over `seconds`.

    - `now`: values of the last reading, by name.
    - `rates`: of counters without a table of their own, by name.
    """

    seconds: float
    version: str
    calls: tuple[CallFigures, ...]
    stages: tuple[Duration, ...]
    collections: tuple[CollectionFigures, ...]
    now: Mapping[str, float]
    rates: Mapping[str, float]


_NOW = {
    "ready": "afterimage_ready", "calls_in_progress": "afterimage_calls_in_progress",
    "encode_queue": "afterimage_encode_queue_pictures", "in_flight_bytes": "afterimage_in_flight_bytes",
    "http_connections": "afterimage_http_connections", "collections_open": "afterimage_collections_open",
    "rows": "afterimage_rows", "index_bytes": "afterimage_index_bytes", "recall_lowest": "afterimage_recall_lowest",
    "tenants_stopped": "afterimage_tenants_stopped", "runs_working": "afterimage_sync_runs_working",
    "oldest_success_s": "afterimage_sync_oldest_success_seconds", "redis_up": "afterimage_redis_up",
    "memory_bytes": "process_resident_memory_bytes", "open_files": "afterimage_open_files",
}  # fmt: skip
_RATES = {
    "refused_calls": "afterimage_calls_refused_total", "refused_pictures": "afterimage_pictures_refused_total",
    "wrong_keys": "afterimage_failed_authentications_total", "quota_refusals": "afterimage_quota_refusals_total",
    "records_written": "afterimage_records_total", "loads": "afterimage_index_loads",
    "runs_ended": "afterimage_sync_runs_total", "http_requests": "afterimage_http_requests_total",
    "cores": "process_cpu_seconds_total",
}  # fmt: skip
_STAGES = ("fetch", "queue", "decode", "model", "store")


def figures_of(before: Reading, after: Reading) -> Figures:
    """What happened between two readings. The busiest methods come first."""
    seconds = max(after.at_s - before.at_s, 1e-9)
    methods = after.by("method", "afterimage_call_seconds_count")
    calls = [_call(method, before, after, seconds) for method in methods]
    versions = [labels["version"] for labels, _ in after.each("afterimage_build_info")]
    return Figures(
        seconds, versions[0] if versions else "",
        tuple(sorted((c for c in calls if c.per_s), key=lambda c: (-c.per_s, c.name))),
        tuple(_duration(s, "afterimage_picture_seconds", {"stage": s}, before, after, seconds) for s in _STAGES),
        _collections(after),
        {name: after.total(metric) for name, metric in _NOW.items()},
        {name: _grown(before.total(metric), after.total(metric)) / seconds for name, metric in _RATES.items()},
    )  # fmt: skip


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """The quantile of a histogram, as Prometheus estimates it: evenly within a bucket. None of an empty one.

    `buckets`: counts up to each upper bound, +Inf among them. Beyond the largest finite bound: that bound.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    rank, low, below = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank and buckets[bound] > below:
            return low if math.isinf(bound) else low + (bound - low) * (rank - below) / (buckets[bound] - below)
        low, below = bound, max(below, buckets[bound])
    return low


def _call(method: str, before: Reading, after: Reading, seconds: float) -> CallFigures:
    found = _duration(method, "afterimage_call_seconds", {"method": method}, before, after, seconds)
    codes_before, codes = (r.by("code", "afterimage_calls_total", method=method) for r in (before, after))
    failed = sum(_grown(codes_before.get(code, 0.0), n) for code, n in codes.items() if code != "OK")
    name = method.rpartition(".")[2]
    return CallFigures(name, found.per_s, found.mean_ms, found.p50_ms, found.p99_ms, failed / seconds)


def _duration(
    name: str, metric: str, labels: dict[str, str], before: Reading, after: Reading, seconds: float
) -> Duration:
    count = _grown(before.total(f"{metric}_count", **labels), after.total(f"{metric}_count", **labels))
    spent_s = _grown(before.total(f"{metric}_sum", **labels), after.total(f"{metric}_sum", **labels))
    bounds_before, bounds = (r.by("le", f"{metric}_bucket", **labels) for r in (before, after))
    buckets = {float(le): _grown(bounds_before.get(le, 0.0), n) for le, n in bounds.items()}
    p50, p99 = (quantile(buckets, share) for share in (0.5, 0.99))
    mean_ms = spent_s / count * 1000 if count else None
    return Duration(name, count / seconds, mean_ms, _ms(p50), _ms(p99))


def _collections(reading: Reading) -> tuple[CollectionFigures, ...]:
    records = reading.by("collection", "afterimage_collection_records")
    recalls = reading.by("collection", "afterimage_collection_recall")
    found = [CollectionFigures(home, int(count), recalls.get(home)) for home, count in records.items()]
    return tuple(sorted(found, key=lambda c: (-c.records, c.collection)))


def _grown(before: float, after: float) -> float:
    """How much a counter grew. One that is smaller than before began anew with its server."""
    return after - before if after >= before else after


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
