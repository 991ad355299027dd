"""Values of catalogue synchronization: frozen, without protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class FeedOptions:
    """How to read a feed. Empty options are detected.

    - record_id, product_id, pictures: names of the feed's fields.
    - attributes: by attribute name, the field and its type (text, number, boolean, list or price), such as {"price":
      ("cost", "number")}.
    """

    format: str = ""
    encoding: str = ""
    delimiter: str = ""
    record_id: str = ""
    product_id: str = ""
    pictures: Sequence[str] = ()
    attributes: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class NewSource:
    """A feed that a collection follows. Shares are between 0 and 1. None or empty: the server's default.

    authorization, webhook_secret: empty in an update: unchanged.
    """

    name: str
    collection: str
    url: str
    mode: str = "replace"
    options: FeedOptions = field(default_factory=FeedOptions)
    cron: str = ""
    time_zone: str = "UTC"
    max_delete_share: float | None = None
    max_deletes: int | None = None
    max_problem_share: float | None = None
    min_items_share: float | None = None
    picture_check: str = "changed"
    authorization: str = field(default="", repr=False)
    webhook_url: str = ""
    webhook_secret: str = field(default="", repr=False)
    paused: bool = False


@dataclass(frozen=True)
class Source:
    """A feed that a collection follows.

    - said: its configuration, without secrets.
    - dropped_secrets: those of authorization and webhook_secret that an update removed, because the origin of their URL
      changed.
    """

    source_id: str
    said: NewSource
    create_time: datetime
    success_time: datetime | None
    found_format: str
    has_authorization: bool
    has_webhook_secret: bool = False
    dropped_secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeedItem:
    """An item of a preview. attributes: JSON; notes: what was left out, and why."""

    line: int
    item_id: str
    product_id: str
    pictures: tuple[str, ...]
    attributes: str
    deleted: bool
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeedProblem:
    """An unusable item."""

    line: int
    item_id: str
    message: str


@dataclass(frozen=True)
class FeedColumn:
    """How a field of a feed is interpreted.

    - role: id, product id, picture, attribute, deletion or left out.
    - attribute, type: the resulting attribute.
    - reason: why values are left out.
    - samples: up to 3 values as in the feed.
    - item_count, left_out_count: of the shown items, those with this field, and the number of unusable values.
    """

    name: str
    role: str
    attribute: str
    type: str
    reason: str
    samples: tuple[str, ...]
    item_count: int
    left_out_count: int


@dataclass(frozen=True)
class FeedPreview:
    """The beginning of a feed. columns: how each field is interpreted; notes: on the feed as a whole."""

    format: str
    items: tuple[FeedItem, ...]
    problems: tuple[FeedProblem, ...]
    columns: tuple[FeedColumn, ...] = ()
    notes: tuple[str, ...] = ()
    encoding: str = ""
    delimiter: str = ""


@dataclass(frozen=True)
class PlannedRecord:
    """A record of a plan, and its action."""

    action: str
    record_id: str
    line: int


@dataclass(frozen=True)
class Plan:
    """The changes of a run. Counts are of records; those of items, problems and duplicates are of the feed."""

    digest: str
    item_count: int
    problem_count: int
    duplicate_count: int
    create_count: int
    update_picture_count: int
    update_attributes_count: int
    check_picture_count: int
    unchanged_count: int
    delete_count: int
    kept_count: int
    failed_before_count: int
    estimated_seconds: float
    concerns: tuple[str, ...]
    samples: tuple[PlannedRecord, ...]
    problems: tuple[FeedProblem, ...]


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run."""

    items_read: int
    total_count: int
    done_count: int
    failed_count: int
    per_second: float
    remaining_seconds: float


@dataclass(frozen=True)
class PictureNoteCount:
    """A number of pictures with a note. reason is for programs, message for people."""

    reason: str
    message: str
    picture_count: int


@dataclass(frozen=True)
class Run:
    """A run of a sync. notes: on pictures that it encoded."""

    run_id: str
    source_id: str
    collection: str
    state: str
    dry_run: bool
    trigger: str
    reason: str
    message: str
    plan: Plan
    created_count: int
    updated_count: int
    unchanged_count: int
    deleted_count: int
    failed_count: int
    encoded_count: int
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    progress: RunProgress | None
    notes: tuple[PictureNoteCount, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.state in ENDED

    @property
    def succeeded(self) -> bool:
        """Whether the run succeeded, apart from failed records."""
        return self.state in ("succeeded", "succeeded_with_errors", "planned")


ENDED = frozenset({"succeeded", "succeeded_with_errors", "planned", "failed", "blocked", "cancelled", "superseded"})


@dataclass(frozen=True)
class SyncFailure:
    """A record that could not be synchronized. lasting: an early retry will not succeed."""

    record_id: str
    reason: str
    message: str
    lasting: bool
    line: int
    tries: int
    first_time: datetime
    last_time: datetime


@dataclass(frozen=True)
class PushedItem:
    """What came of a change of one item.

    outcome: created, updated, unchanged, deleted or skipped; reason, message: why it was skipped. record_count: how
    many records the item has now. notes: what of it was left out, and why. sequence: of the collection's last change
    by it; 0: nothing was changed.
    """

    outcome: str
    item_id: str
    reason: str = ""
    message: str = ""
    record_count: int = 0
    deleted_count: int = 0
    sequence: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PushSecret:
    """A secret that signs pushes over HTTP. path: of the HTTP port. former_expire_time: until when the one before is
    valid; None: there was none."""

    secret: str
    path: str
    former_expire_time: datetime | None = None
