"""A backup of a collection, as its manifest describes it."""

from __future__ import annotations

from dataclasses import dataclass

from index.types.collection import CollectionSpec


@dataclass(frozen=True)
class Backup:
    """One backup.

    - `snapshot_id`: unique within the collection, in the order of creation.
    - `created_ms`: milliseconds since 1970, UTC.
    - `sequence`: number of the last write in it.
    - `records`: how many it has. `bytes`: size of its database.
    - `spec`: what the collection was.
    - `region`: where its tenant's data must lie.
    - `home`: of the collection that it is of.
    - `revision`: how often something was erased from it.
    - `file`: name of its database.
    """

    snapshot_id: str
    created_ms: int
    sequence: int
    records: int
    bytes: int
    spec: CollectionSpec
    region: str = ""
    home: str = ""
    revision: int = 0
    file: str = "records.db"
