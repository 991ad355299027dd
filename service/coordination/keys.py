"""Every key in Redis, its type, its meaning and its lifetime, in one place. docs/redis-keys.md lists the same.

All keys share one hash tag, so that a cluster keeps them together.
"""

from __future__ import annotations

PREFIX = "{afterimage}"
NODE_LIFETIME_S = 30
LEASE_MS = 30_000
LONGEST_DELAY_MS = 600_000  # a run is never queued for later than that
RUN_LIFETIME_S = 7 * 86_400


def node(node_id: str) -> str:
    """HASH pid, listen, version, started_ms: a running server. Renewed every 10 s, expires after NODE_LIFETIME_S."""
    return f"{PREFIX}:node:{node_id}"


def due(server: str) -> str:
    """ZSET tenant/source by the time, in milliseconds, at which its next run begins: of a server's tenants. Stays."""
    return f"{PREFIX}:due:{server}"


def queue(server: str) -> str:
    """ZSET tenant/collection id/run by the time, in milliseconds, from which it may be taken: of a server's. Stays."""
    return f"{PREFIX}:queue:{server}"


def running(server: str) -> str:
    """ZSET tenant/collection id/run by the time, in milliseconds, at which its worker's lease ends: of a server's.
    Stays."""
    return f"{PREFIX}:running:{server}"


def lease(collection: str) -> str:
    """STRING of tenant/collection id: worker that alone may apply a feed to it. Expires after LEASE_MS unless
    renewed."""
    return f"{PREFIX}:lease:{collection}"


def fence(collection: str) -> str:
    """STRING last fencing epoch of a collection. Stays; the store's own epoch is the floor where it is lost."""
    return f"{PREFIX}:fence:{collection}"


def run(run_id: str) -> str:
    """HASH worker, heartbeat_ms, progress: of a run that is worked on. Expires after RUN_LIFETIME_S."""
    return f"{PREFIX}:run:{run_id}"


def rate(who: str) -> str:
    """STRING time, in microseconds, at which a tenant or a key has made up for its requests. Expires when it has."""
    return f"{PREFIX}:rate:{who}"


def today(tenant_uid: str) -> str:
    """STRING pictures that were encoded for a tenant, for each day since 1970 (`:<day>` follows). Expires after two
    days."""
    return f"{PREFIX}:today:{tenant_uid}"
