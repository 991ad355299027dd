"""Every key in Redis, its type, its meaning and its lifetime, in one place. docs/redis-keys.md lists the same.

All keys share one hash tag, so that a cluster keeps them together.
"""

from __future__ import annotations

PREFIX = "{afterimage}"
NODE_LIFETIME_S = 30


def node(node_id: str) -> str:
    """HASH pid, listen, version, started_ms: a running server. Renewed every 10 s, expires after NODE_LIFETIME_S."""
    return f"{PREFIX}:node:{node_id}"
