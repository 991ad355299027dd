"""Which secrets of a source stay when it is changed: each is for the origin that it was given for, and for no other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from service.intake.download.urls import parse_link
from service.sync.feed_input.feed_files import PREFIX
from service.sync.model import Source, SourceConfig, Webhook


@dataclass(frozen=True)
class ChangedConfig:
    """A source's configuration after a change. origins: which of url and webhook_url lead to another origin; dropped:
    which of authorization and webhook_secret went for that."""

    config: SourceConfig
    origins: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangedSource:
    """A source after a change; the rest as for ChangedConfig."""

    source: Source
    origins: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def merged(old: SourceConfig, wanted: SourceConfig) -> ChangedConfig:
    """What is wanted, with the name, the collection and the secrets that were not given again; without those whose URL
    has another origin: whoever may change a source could have them sent anywhere. Raises ServiceError (URL_INVALID)."""
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
    return ChangedConfig(config, tuple(n for n, told in origins if told), tuple(n for n, told in dropped if told))


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port; of a file or of nothing there is but the scheme. Raises ServiceError (URL_INVALID)."""
    if not url or url.startswith(PREFIX):
        return url[: len(PREFIX)], "", 0
    return parse_link(url).origin
