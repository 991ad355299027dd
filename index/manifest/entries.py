"""A collection as `collections.db` and the manifest list it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from index.storage.sqlite import Connection
from index.types.collection import CollectionSpec
from index.types.companions import PicturePolicy

CHANGEABLE = ("description", "learning", "picture_policy", "policy_version", "partial", "feedback", "tuning")
COLUMNS = ", ".join(("uid", "home", "name", "encoder_id", "encoder_fingerprint", "dimension", *CHANGEABLE))
MIGRATIONS = (
    """
    CREATE TABLE collections (
      name TEXT PRIMARY KEY,
      uid TEXT NOT NULL UNIQUE,
      description TEXT NOT NULL,
      encoder_id TEXT NOT NULL,
      encoder_fingerprint TEXT NOT NULL,
      dimension INTEGER NOT NULL,
      created_ms INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    ALTER TABLE collections ADD COLUMN learning INTEGER NOT NULL DEFAULT 1
    """,
    """
    ALTER TABLE collections ADD COLUMN picture_policy TEXT NOT NULL DEFAULT 'DISCARD';
    ALTER TABLE collections ADD COLUMN policy_version INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE collections ADD COLUMN home TEXT NOT NULL DEFAULT '';
    UPDATE collections SET home = uid;
    CREATE TABLE deserted (home TEXT PRIMARY KEY) WITHOUT ROWID
    """,
    """
    ALTER TABLE collections ADD COLUMN partial INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE collections ADD COLUMN feedback INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE collections ADD COLUMN tuning TEXT NOT NULL DEFAULT ''
    """,
    """
    CREATE TABLE gone (uid TEXT PRIMARY KEY, with_kept INTEGER NOT NULL) WITHOUT ROWID
    """,
)


class Entry(NamedTuple):
    """A collection: its directory, where extensions keep files of it, and what it is. Its kept
    snapshots are listed by its home, which a collection that is restored in place inherits."""

    uid: str
    home: str
    spec: CollectionSpec


def read_entries(connection: Connection) -> list[Entry]:
    """All collections."""
    return [_entry(row) for row in connection.execute(f"SELECT {COLUMNS} FROM collections")]  # noqa: S608


def changeable_values(spec: CollectionSpec) -> tuple[str, int, str, int, int, int, str]:
    """The values of the columns that can be changed."""
    policy, flags = spec.picture_policy.value, (int(spec.partial), int(spec.feedback))
    return spec.description, int(spec.learning), policy, spec.policy_version, *flags, spec.tuning


def records_name(uid: str) -> str:
    """The name of a collection's database in the manifest."""
    return f"{uid}/records.db"


def details_of(entry: Entry) -> dict[str, Any]:
    """What the manifest has of a collection, as JSON."""
    spec = {**asdict(entry.spec), "picture_policy": entry.spec.picture_policy.value}
    return {"home": entry.home, "spec": spec}


def entry_of(uid: str, details: Mapping[str, Any]) -> Entry:
    """The entry with these details. Raises KeyError, TypeError or ValueError where they are something else."""
    spec = {**details["spec"], "picture_policy": PicturePolicy(details["spec"]["picture_policy"])}
    return Entry(uid, details["home"], CollectionSpec(**spec))


def _entry(row: Any) -> Entry:
    uid, home, name, encoder_id, fingerprint, dimension, description, learning, policy, version = row[:10]
    partial, feedback, tuning = row[10:]
    spec = CollectionSpec(
        name, encoder_id, fingerprint, dimension, description, bool(learning), PicturePolicy(policy), version,
        bool(partial), bool(feedback), tuning,
    )  # fmt: skip
    return Entry(uid, home, spec)
