"""Sources, runs and plans, as they are stored and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter

from service.intake.notes import Note
from service.sync.feeds.model import FeedOptions


class Mode(StrEnum):
    """What becomes of records that the feed does not name: REPLACE withdraws them, UPDATE_ONLY leaves them."""

    REPLACE = "replace"
    UPDATE_ONLY = "update_only"


class PictureCheck(StrEnum):
    """When a picture is looked at again: where its URL CHANGED, or ALWAYS, by asking its host whether it has."""

    CHANGED = "changed"
    ALWAYS = "always"


@dataclass(frozen=True)
class Guards:
    """Limits beyond which a plan waits for approval; shares are of 1. min_items_share: of the last run's items."""

    max_delete_share: float = 0.10
    max_deletes: int = 500
    max_problem_share: float = 0.05
    min_items_share: float = 0.50


@dataclass(frozen=True)
class Schedule:
    """When runs begin by themselves: cron syntax in a time zone; empty: never."""

    cron: str = ""
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Webhook:
    """Where to tell of a run that has ended or waits; empty: nowhere. secret: signs what is told."""

    url: str = ""
    secret: str = ""


@dataclass(frozen=True)
class SourceConfig:
    """What a tenant says of a source. url: https://, or file: below the server's feeds directory. authorization: the
    header of that name, for the feed alone; never shown again."""

    name: str
    collection: str
    url: str
    mode: Mode = Mode.REPLACE
    options: FeedOptions = field(default_factory=FeedOptions)
    schedule: Schedule = Schedule()
    guards: Guards = Guards()
    picture_check: PictureCheck = PictureCheck.CHANGED
    authorization: str = ""
    webhook: Webhook = Webhook()
    paused: bool = False


@dataclass(frozen=True)
class SourceState:
    """What the last successful run left. pictures_per_s: how fast it went. ends_in_newline: as tables and JSON lines
    that are whole usually do."""

    feed_digest: str = ""
    config_digest: str = ""
    etag: str = ""
    last_modified: str = ""
    items: int = 0
    format: str = ""
    ends_in_newline: bool = False
    success_ms: int = 0
    pictures_per_s: float = 0.0


@dataclass(frozen=True)
class Source:
    """A source with what is known of it. Times are milliseconds since 1970."""

    source_id: str
    config: SourceConfig
    state: SourceState
    created_ms: int
    updated_ms: int


class RunState(StrEnum):
    """Where a run is. The last seven are ends."""

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
    """One record of a plan, for people to look at."""

    action: str
    record_id: str
    line: int = 0


@dataclass(frozen=True)
class Plan:
    """What a run would do. digest: of all actions, which an approval is bound to. concerns: limits that it is beyond.
    Counts are of records, `items` and `problems` of the feed; `kept`: records that stay although the feed does not name
    them.
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
        """How many pictures are to be fetched."""
        return self.create + self.update_picture + self.check_picture

    @property
    def changes(self) -> int:
        """How many records are to be done something about."""
        return self.pictures + self.update_attributes + self.delete


_NOTE = "note:"  # begins the name of a count of pictures with a note, where counts are stored


@dataclass(frozen=True)
class Counts:
    """How far a run is, in records. notes: how many of the encoded pictures have which note, by the note's name."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    encoded: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def stored(cls, counts: Mapping[str, int]) -> Counts:
        """From what the store counted and was told to add (`counts_of_notes`)."""
        notes = {name.removeprefix(_NOTE): count for name, count in counts.items() if name.startswith(_NOTE)}
        return cls(**{name: count for name, count in counts.items() if not name.startswith(_NOTE)}, notes=notes)

    @property
    def done(self) -> int:
        """How many records have been dealt with."""
        return self.created + self.updated + self.unchanged + self.deleted + self.failed


def counts_of_notes(notes: Iterable[Note]) -> dict[str, int]:
    """Counts for the store, as `Counts.stored` reads them."""
    return dict(Counter(f"{_NOTE}{note.name}" for note in notes))


@dataclass(frozen=True)
class Run:
    """One execution of a sync. full: although the feed has not changed. approved: digest of the plan that may be
    applied beyond the limits. reason, message: why it ended as it did. untold: its end is not in the audit log yet.
    Times are milliseconds since 1970, 0 before they come.
    """

    run_id: str
    source_id: str
    collection: str
    dry_run: bool = False
    full: bool = False
    trigger: str = "request"
    state: RunState = RunState.QUEUED
    plan: Plan = Plan()
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


CONFIG = TypeAdapter(SourceConfig)
STATE = TypeAdapter(SourceState)
RUN = TypeAdapter(Run)
