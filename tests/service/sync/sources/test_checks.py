"""Validation of sources."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.errors import Reason, ServiceError
from service.sync.feeds.model import AttributeField, FeedFormat, FeedOptions, FieldMapping
from service.sync.source_model import Guards, Schedule, SourceConfig, Webhook
from service.sync.sources.checks import check_authorization, check_config, check_options, check_place

SOURCE = SourceConfig("feed", "shoes", "https://shop.example/feed.csv")
HOOK = "https://shop.example/hook"


def refused(config: SourceConfig, *, new: bool = True) -> str:
    """The invalid field; empty if the source may be registered."""
    try:
        check_config(config, new=new)
    except ServiceError as error:
        return error.field
    return ""


@pytest.mark.parametrize("name", ["a", "0", "my-feed_2", "a" * 63])
def test_names_of_up_to_63_plain_characters_are_taken(name: str) -> None:
    assert refused(replace(SOURCE, name=name)) == ""


@pytest.mark.parametrize("name", ["", "A", "-a", "_a", "a b", "a\n", "ä", "a/b", "a" * 64])
def test_other_names_are_refused(name: str) -> None:
    assert refused(replace(SOURCE, name=name)) == "source.name"


def test_a_long_name_is_quoted_in_part() -> None:
    with pytest.raises(ServiceError) as caught:
        check_config(replace(SOURCE, name="B" * 1000), new=True)
    assert "B" * 80 in caught.value.message
    assert "B" * 81 not in caught.value.message


@pytest.mark.parametrize("url", ["https://shop.example/feed", "file:a", "file:feeds/today.csv", "file:a.b"])
def test_feeds_lie_behind_a_url_or_in_the_tenants_folder(url: str) -> None:
    check_place(url)
    assert refused(replace(SOURCE, url=url)) == ""


@pytest.mark.parametrize("url", ["file:", "file:..", "file:../other/feed.csv", "file:a/../../b", "file:a\0b"])
def test_files_outside_of_the_tenants_folder_are_refused(url: str) -> None:
    assert refused(replace(SOURCE, url=url)) == "source.url"


@pytest.mark.parametrize("url", ["", "feed.csv", "ftp://shop.example/feed", "https://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_place(url)
    assert caught.value.reason is Reason.URL_INVALID


@pytest.mark.parametrize("value", ["x", "Basic YTpi", "Bearer " + "a" * 1017, "Bearer \x21~"])
def test_credentials_are_the_value_of_a_header(value: str) -> None:
    check_authorization(SOURCE.url, value)
    assert refused(replace(SOURCE, authorization=value)) == ""


@pytest.mark.parametrize(
    "value", [" x", "x ", "Basic  two", "a\tb", "a\r\nX-Other: b", "ä", "\x7f", "a" * 1025, "a " * 1024 + "a"]
)
def test_what_no_header_can_hold_is_no_credential(value: str) -> None:
    assert refused(replace(SOURCE, authorization=value)) == "source.authorization"


@pytest.mark.parametrize("url", ["http://shop.example/feed", "file:feed.csv"])
def test_credentials_are_sent_over_https_alone(url: str) -> None:
    with pytest.raises(ServiceError, match="https") as caught:
        check_authorization(url, "Basic YTpi", "authorization")
    assert caught.value.field == "authorization"
    check_authorization(url, "")
    assert refused(replace(SOURCE, url=url, authorization="Basic YTpi")) == "source.authorization"


@pytest.mark.parametrize("delimiter", ["", ";", "\t", "|", " "])
def test_a_delimiter_is_one_character(delimiter: str) -> None:
    check_options(FeedOptions(delimiter=delimiter))


@pytest.mark.parametrize("delimiter", [";;", '"', "\r", "\n", '"\r'])
def test_what_separates_nothing_is_no_delimiter(delimiter: str) -> None:
    assert refused(replace(SOURCE, options=FeedOptions(delimiter=delimiter))) == "source.options.delimiter"


@pytest.mark.parametrize("format_", [f for f in FeedFormat if f is not FeedFormat.FOLDER])
def test_every_format_of_files_may_be_named(format_: FeedFormat) -> None:
    check_options(FeedOptions(format=format_))


def test_a_folder_is_reported_by_its_url() -> None:
    assert refused(replace(SOURCE, options=FeedOptions(format=FeedFormat.FOLDER))) == "source.options.format"


def test_encodings_and_attributes_must_exist() -> None:
    def mapped(name: str) -> FeedOptions:
        return FeedOptions(mapping=FieldMapping(attributes={"price": AttributeField("p"), name: AttributeField("c")}))

    check_options(FeedOptions(encoding="windows-1252"))
    check_options(mapped("colour"))
    assert refused(replace(SOURCE, options=FeedOptions(encoding="klingon"))) == "source.options.encoding"
    assert refused(replace(SOURCE, options=mapped("not a name"))) == "source.options.mapping.attributes"


def _guards(name: str, value: float) -> Guards:
    limits: dict[str, Any] = {name: value}
    return replace(Guards(), **limits)


SHARES = ("max_delete_share", "max_problem_share", "min_items_share")


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_share_is_from_0_to_1(name: str, value: float) -> None:
    assert refused(replace(SOURCE, guards=_guards(name, value))) == ""


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf"), float("-inf")])
def test_other_shares_are_refused_by_name(name: str, value: float) -> None:
    assert refused(replace(SOURCE, guards=_guards(name, value))) == f"source.guards.{name}"


def test_a_number_of_deletions_may_be_0_but_not_negative() -> None:
    assert refused(replace(SOURCE, guards=Guards(max_deletes=0))) == ""
    assert refused(replace(SOURCE, guards=Guards(max_deletes=-1))) == "source.guards.max_deletes"


def test_a_webhook_of_a_new_source_needs_a_secret_of_16_characters() -> None:
    assert refused(replace(SOURCE, webhook=Webhook(HOOK, "s" * 16))) == ""
    for secret in ("", "s", "s" * 15):
        assert refused(replace(SOURCE, webhook=Webhook(HOOK, secret))) == "source.webhook.secret"
    assert refused(replace(SOURCE, webhook=Webhook("", "s"))) == ""  # nobody is told


def test_a_source_that_is_not_new_may_have_lost_the_secret_of_its_webhook() -> None:
    assert refused(replace(SOURCE, webhook=Webhook(HOOK, "")), new=False) == ""
    assert refused(replace(SOURCE, webhook=Webhook(HOOK, "s" * 15)), new=False) == "source.webhook.secret"


def test_webhooks_and_schedules_are_checked_too() -> None:
    assert refused(replace(SOURCE, webhook=Webhook("no url", "s" * 16))) == "url"
    assert refused(replace(SOURCE, schedule=Schedule("* * * * *"))) == "source.schedule.cron"
