"""Decides which secrets of a source survive a change. A secret is valid only for the origin for which it was given."""

from __future__ import annotations

from dataclasses import dataclass, replace

from service.intake.download.urls import parse_link
from service.sync.feed_input.feed_files import PREFIX
from service.sync.source_model import Source, SourceConfig, Webhook


@dataclass(frozen=True)
class ChangedConfig:
    """The configuration of a source after a change.

    - `origins`: which of url and webhook_url have a new origin.
    - `dropped`: which of authorization and webhook_secret were removed for that reason.
    """

    config: SourceConfig
    origins: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangedSource:
    """A source after a change. Other fields as in ChangedConfig."""

    source: Source
    origins: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def merged(old: SourceConfig, wanted: SourceConfig) -> ChangedConfig:
    """The new configuration, with the old name, collection and secrets if they were not given again.

    A secret is removed if the origin of its URL changes. Otherwise anyone who may change a source could have the secret
    sent anywhere. Raises ServiceError (URL_INVALID).
    """
    hook = wanted.webhook
    moved, hook_moved = (origin(a) != origin(b) for a, b in ((old.url, wanted.url), (old.webhook.url, hook.url)))
    authorization = wanted.authorization or ("" if moved else old.authorization)
    secret = hook.secret or ("" if hook_moved else old.webhook.secret)
    dropped = [("authorization", moved and old.authorization and not authorization)]
    dropped += [("webhook_secret", hook_moved and old.webhook.secret and not secret)]
    config = replace(
        wanted, name=old.name, collection=wanted.collection or old.collection, authorization=authorization,
        webhook=Webhook(hook.url, secret if hook.url else ""),
    )  # fmt: skip
    origins = [("url", moved), ("webhook_url", hook_moved)]
    return ChangedConfig(config, tuple(n for n, changed in origins if changed), tuple(n for n, lost in dropped if lost))


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port; for a file or an empty URL, only the scheme. Raises ServiceError (URL_INVALID)."""
    if not url or url.startswith(PREFIX):
        return url[: len(PREFIX)], "", 0
    return parse_link(url).origin
