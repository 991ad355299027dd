"""Which key opens which database of a tenant's directory."""

from __future__ import annotations

import re
from pathlib import Path

_PURPOSES = {
    "records.db": "collection store", "collections.db": "tenant collections", "sync.db": "sync ledger",
    "audit.db": "audit log", "training.db": "training", "manifest.db": "tenant manifest",
}  # fmt: skip
_REVISION = re.compile(r"-\d+(?=\.db$)")  # the database of a kept snapshot after an erasure


def purpose_of_database(path: Path) -> str | None:
    """The purpose that the key of a tenant's database is derived for; None for a file of another kind."""
    return "sync staging" if path.parent.name == "staging" else _PURPOSES.get(_REVISION.sub("", path.name))
