"""Every key in Redis with its type, content and lifetime. docs/redis-keys.md lists the same.

All keys share one hash tag, so that a cluster stores them together.
"""

from __future__ import annotations

PREFIX = "{afterimage}"
NODE_LIFETIME_S = 30
LEASE_MS = 30_000
LONGEST_DELAY_MS = 600_000  # maximum delay of a queued run
RUN_LIFETIME_S = 7 * 86_400


def node(node_id: str) -> str:
    """HASH pid, listen, version, started_ms: a running server. Renewed every 10 s, expires after NODE_LIFETIME_S."""
    return f"{PREFIX}:node:{node_id}"


def due(server: str) -> str:
    """ZSET of tenant/source, scored by the time of its next run in milliseconds, for one server. Permanent."""
    return f"{PREFIX}:due:{server}"


def queue(server: str) -> str:
    """ZSET of tenant/collection id/run, scored by the earliest start in milliseconds, for one server. Permanent."""
    return f"{PREFIX}:queue:{server}"


def running(server: str) -> str:
    """ZSET of tenant/collection id/run, scored by the end of the lease in milliseconds, for one server. Permanent."""
    return f"{PREFIX}:running:{server}"


def lease(collection: str) -> str:
    """STRING: the worker that alone may apply a feed to a collection. Expires after LEASE_MS unless renewed."""
    return f"{PREFIX}:lease:{collection}"


def fence(collection: str) -> str:
    """STRING: the last fencing epoch of a collection.

    Permanent. If it is lost, the store's own epoch is the lower bound.
    """
    return f"{PREFIX}:fence:{collection}"


def run(run_id: str) -> str:
    """HASH worker, heartbeat_ms, progress, traceparent: a run. Expires after RUN_LIFETIME_S."""
    return f"{PREFIX}:run:{run_id}"


def rate(who: str) -> str:
    """STRING: the time in microseconds until which requests of a tenant or key are accounted for. Expires then."""
    return f"{PREFIX}:rate:{who}"


def today(tenant_uid: str) -> str:
    """STRING: pictures encoded for a tenant, one key per day since 1970 (suffix `:<day>`). Expires after two days."""
    return f"{PREFIX}:today:{tenant_uid}"
