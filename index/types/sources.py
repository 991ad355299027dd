"""What passes between a catalogue synchronisation and the store: batches, marks and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from index.types.changes import Normalised
from index.types.record import WriteResult


class Mark(NamedTuple):
    """What the store holds of a record that follows a source. A digest is None where the record was changed since by
    somebody else, or has no picture that was fetched."""

    record_id: str
    item_digest: bytes | None
    url_digest: bytes | None


@dataclass(frozen=True)
class Failure:
    """A record that could not be brought in step. lasting: trying again soon will not help. line: of the feed, 0 where
    it has none. Times are milliseconds since 1970; those and `tries` are counted by the store."""

    record_id: str
    url_digest: bytes
    reason: str
    message: str
    lasting: bool
    line: int = 0
    tries: int = 1
    first_ms: int = 0
    last_ms: int = 0


@dataclass(frozen=True)
class SourceBatch:
    """Writes and failures of one run, to be stored at once. The store counts what came of them under the run's id.

    - `counts`: what the store cannot see, to be added.
    - `feed_ms`: when the run's feed was current, in milliseconds since 1970. What was pushed since then stays as it is.
    - `items`: item ids by record id, where the two differ.
    """

    epoch: int
    source: str
    run: str
    writes: Sequence[Normalised | WriteResult] = ()
    failures: Sequence[Failure] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    feed_ms: int = 0
    items: Mapping[str, str] = field(default_factory=dict)


class PushedItems(NamedTuple):
    """Records that pushes concerned, and their items."""

    records: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ItemPush:
    """A change of one item.

    - `changed_ms`: when the change was made, in milliseconds since 1970.
    - `writes`: the records of the item; none: it is deleted.
    """

    source: str
    item_id: str
    changed_ms: int
    writes: Sequence[Normalised | WriteResult] = ()


@dataclass(frozen=True)
class PushResult:
    """What came of a push.

    - `outcome`: applied, stale (a feed of `than_ms` is newer), superseded (a push of `than_ms` is newer) or foreign
      (`other` is a record of another source).
    - `results`: of each write. `deleted`: records that were taken out. `sequence`: of the last change; 0: none.
    """

    outcome: str
    than_ms: int = 0
    other: str = ""
    results: tuple[WriteResult, ...] = ()
    deleted: int = 0
    sequence: int = 0
