"""Sources, runs and plans, as they are stored and displayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter

from service.intake.notes import Note


class RunState(StrEnum):
    """The state of a run. The last seven are final."""

    QUEUED = "queued"
    FETCHING = "fetching"
    PLANNING = "planning"
    AWAITING_APPROVAL = "awaiting_approval"
    APPLYING = "applying"
    FINALISING = "finalising"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    SUCCEEDED_WITH_ERRORS = "succeeded_with_errors"
    PLANNED = "planned"
    FAILED = "failed"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


ENDED = frozenset(
    {
        RunState.SUCCEEDED, RunState.SUCCEEDED_WITH_ERRORS, RunState.PLANNED, RunState.FAILED, RunState.BLOCKED,
        RunState.CANCELLED, RunState.SUPERSEDED,
    }
)  # fmt: skip
WORKING = frozenset({RunState.FETCHING, RunState.PLANNING, RunState.APPLYING, RunState.FINALISING})


@dataclass(frozen=True)
class Sample:
    """One record of a plan, shown to people."""

    action: str
    record_id: str
    line: int = 0


@dataclass(frozen=True)
class SyncPlan:
    """What a run would do.

    - `digest`: of all actions. An approval is bound to it.
    - `concerns`: the limits that the plan exceeds.
    - `items`, `problems`: counts of the feed. All other counts are of records.
    - `kept`: records that stay although the feed does not contain them.
    """

    digest: str = ""
    feed_digest: str = ""
    items: int = 0
    problems: int = 0
    duplicates: int = 0
    create: int = 0
    update_picture: int = 0
    update_attributes: int = 0
    check_picture: int = 0
    unchanged: int = 0
    delete: int = 0
    kept: int = 0
    failed_before: int = 0
    estimated_s: float = 0.0
    concerns: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    problem_lines: tuple[Sample, ...] = ()

    @property
    def pictures(self) -> int:
        """The number of pictures to fetch."""
        return self.create + self.update_picture + self.check_picture

    @property
    def changes(self) -> int:
        """The number of records to create, change, check or delete."""
        return self.pictures + self.update_attributes + self.delete


_NOTE = "note:"  # prefix of stored counts of pictures with a note


@dataclass(frozen=True)
class Counts:
    """Progress of a run, in records. `notes`: how many encoded pictures have each note, by the note's name."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    encoded: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def stored(cls, counts: Mapping[str, int]) -> Counts:
        """From the counts in the store, including those of `counts_of_notes`."""
        notes = {name.removeprefix(_NOTE): count for name, count in counts.items() if name.startswith(_NOTE)}
        return cls(**{name: count for name, count in counts.items() if not name.startswith(_NOTE)}, notes=notes)

    @property
    def done(self) -> int:
        """The number of processed records."""
        return self.created + self.updated + self.unchanged + self.deleted + self.failed


def counts_of_notes(notes: Iterable[Note]) -> dict[str, int]:
    """Counts for the store, in the form that `Counts.stored` reads."""
    return dict(Counter(f"{_NOTE}{note.name}" for note in notes))


@dataclass(frozen=True)
class Run:
    """One execution of a sync.

    - `full`: run even if the feed has not changed.
    - `approved`: digest of the plan that may be applied beyond the limits.
    - `reason`, `message`: why the run ended.
    - `untold`: its end is not in the audit log yet.

    Times are milliseconds since 1970; 0 if unknown.
    """

    run_id: str
    source_id: str
    collection: str
    dry_run: bool = False
    full: bool = False
    trigger: str = "request"
    state: RunState = RunState.QUEUED
    plan: SyncPlan = SyncPlan()
    counts: Counts = Counts()
    approved: str = ""
    approved_deletes: int = 0
    reason: str = ""
    message: str = ""
    attempts: int = 0
    created_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    untold: bool = False


RUN = TypeAdapter(Run)
