"""Which changes of a URL change its origin."""

import pytest

from service.sync.source_model import SourceConfig, Webhook
from service.sync.sources.secrets import merged

HOOK = Webhook("https://hook.example/a", "y" * 16)
OLD = SourceConfig("s", "c", "https://shop.example/feed?t=1", authorization="Bearer x", webhook=HOOK)
SAME = ["https://shop.example/other", "HTTPS://SHOP.example:443/feed", "https://shop.example"]
OTHER = [
    "http://shop.example/feed", "https://shop.example:444/feed", "https://www.shop.example/feed",
    "https://shop.example./feed", "https://shop.example.evil.example/feed", "https://93.184.215.14/feed",
    "file:feed.csv",
]  # fmt: skip


@pytest.mark.parametrize("url", [*SAME, *OTHER])
def test_credentials_stay_with_their_origin_unless_they_are_given_again(url: str) -> None:
    found = merged(OLD, SourceConfig("", "", url, webhook=Webhook(OLD.webhook.url)))
    kept = url in SAME
    assert (found.config.authorization, found.config.webhook) == ("Bearer x" if kept else "", OLD.webhook)
    assert (found.origins, found.dropped) == (((), ()) if kept else (("url",), ("authorization",)))
    given = merged(OLD, SourceConfig("", "", url, authorization="Bearer z"))
    assert given.config.authorization == "Bearer z"
    assert "authorization" not in given.dropped


@pytest.mark.parametrize("url", ["https://hook.example/b", "https://evil.example/a", "http://hook.example/a", ""])
def test_the_webhooks_secret_stays_with_its_origin(url: str) -> None:
    found = merged(OLD, SourceConfig("", "", OLD.url, webhook=Webhook(url)))
    same = url == "https://hook.example/b"
    assert found.config.webhook == Webhook(url, OLD.webhook.secret if same else "")
    assert found.config.authorization == OLD.authorization
    assert found.origins == (() if same else ("webhook_url",))
    assert merged(OLD, SourceConfig("", "", OLD.url, webhook=Webhook(url, "z" * 16))).dropped == ()
