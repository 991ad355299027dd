"""Values of a source: its configuration, and its state after the last run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter

from service.sync.feeds.model import FeedOptions


class Mode(StrEnum):
    """What happens to records that the feed does not contain: REPLACE withdraws them, UPDATE_ONLY keeps them."""

    REPLACE = "replace"
    UPDATE_ONLY = "update_only"


class PictureCheck(StrEnum):
    """When pictures are checked again.

    CHANGED: if the URL has changed. ALWAYS: in each run, by a conditional request.
    """

    CHANGED = "changed"
    ALWAYS = "always"


@dataclass(frozen=True)
class Guards:
    """Limits beyond which a plan waits for approval. Shares are between 0 and 1.

    `min_items_share` is a share of the items of the last run.
    """

    max_delete_share: float = 0.10
    max_deletes: int = 500
    max_problem_share: float = 0.05
    min_items_share: float = 0.50


@dataclass(frozen=True)
class Schedule:
    """When runs start automatically: cron syntax in a time zone; empty: never."""

    cron: str = ""
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Webhook:
    """The URL that is notified when a run ends or waits for approval; empty: none. `secret` signs the notifications."""

    url: str = ""
    secret: str = ""


@dataclass(frozen=True)
class SourceConfig:
    """The configuration of a source.

    - `url`: https://, or file: below the server's feeds directory.
    - `authorization`: value of the Authorization header for the feed. It is never returned to clients.
    """

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
    """What the last successful run left.

    - `pictures_per_s`: its speed.
    - `ends_in_newline`: whether the feed ended with a line break. Complete tables and JSON lines usually do.
    - `applied_digest`, `applied_ms`: the content of the feed, and when it was current, in milliseconds since 1970.
    """

    feed_digest: str = ""
    config_digest: str = ""
    etag: str = ""
    last_modified: str = ""
    items: int = 0
    format: str = ""
    ends_in_newline: bool = False
    success_ms: int = 0
    pictures_per_s: float = 0.0
    applied_digest: str = ""
    applied_ms: int = 0


@dataclass(frozen=True)
class Source:
    """A source with its state. Times are milliseconds since 1970."""

    source_id: str
    config: SourceConfig
    state: SourceState
    created_ms: int
    updated_ms: int


CONFIG = TypeAdapter(SourceConfig)
STATE = TypeAdapter(SourceState)
