"""Validates the configuration of a source."""

from __future__ import annotations

import math
import re

from index import InvalidInput, check_attribute_name
from service.errors import Reason, ServiceError
from service.intake.download.urls import parse_link
from service.sync.feed_input.feed_files import PREFIX
from service.sync.feeds.encodings import encoding_of
from service.sync.feeds.model import FeedError, FeedFormat, FeedOptions
from service.sync.schedule import check_schedule
from service.sync.source_model import Guards, SourceConfig

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_HEADER = re.compile(r"[\x21-\x7e]( ?[\x21-\x7e]){0,1023}")
_SECRET_MIN = 16


def check_config(config: SourceConfig, *, new: bool) -> None:
    """Raises ServiceError (ARGUMENT_INVALID, URL_INVALID) that names the invalid field.

    An existing source may lack the webhook's secret. It then sends no notifications.
    """
    if not _NAME.fullmatch(config.name):
        raise _invalid("name", f"the name {config.name[:80]!r} does not match [a-z0-9][a-z0-9_-]{{0,62}}")
    check_place(config.url)
    check_authorization(config.url, config.authorization)
    check_options(config.options)
    check_schedule(config.schedule)
    _check_guards(config.guards)
    if config.webhook.url:
        parse_link(config.webhook.url)
        if len(config.webhook.secret) < _SECRET_MIN and (new or config.webhook.secret):
            raise _invalid("webhook.secret", f"the webhook secret has fewer than {_SECRET_MIN} characters")


def check_authorization(url: str, authorization: str, field: str = "source.authorization") -> None:
    """Raises ServiceError unless the credentials are a valid header value and the URL is https."""
    if not authorization:
        return
    if not _HEADER.fullmatch(authorization):
        message = "the credentials are not a valid header value of at most 1,024 characters"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field=field)
    if url.startswith(PREFIX) or parse_link(url).scheme != "https":
        raise ServiceError(Reason.ARGUMENT_INVALID, "credentials are only sent over https", field=field)


def check_place(url: str) -> None:
    """Raises ServiceError unless the URL is a valid location of a feed."""
    if url.startswith(PREFIX):
        if len(url) == len(PREFIX) or ".." in url or "\0" in url:
            raise _invalid("url", "use file: and a path below this tenant's folder")
        return
    parse_link(url)


def check_options(options: FeedOptions) -> None:
    """Raises ServiceError unless the options are valid."""
    if options.delimiter and (len(options.delimiter) != 1 or options.delimiter in '"\r\n'):
        raise _invalid("options.delimiter", "the delimiter must be one character, such as ; or a tab")
    if options.format is FeedFormat.FOLDER:
        raise _invalid("options.format", "a folder is identified by its url, file: and the folder's name")
    try:
        encoding_of(b"", options.encoding)
        for name in options.mapping.attributes:
            check_attribute_name(name)
    except FeedError as error:
        raise _invalid("options.encoding", str(error)) from None
    except InvalidInput as error:
        raise _invalid("options.mapping.attributes", str(error)) from None


def _check_guards(guards: Guards) -> None:
    for name in ("max_delete_share", "max_problem_share", "min_items_share"):
        value = getattr(guards, name)
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise _invalid(f"guards.{name}", "a share must be from 0 to 1")
    if guards.max_deletes < 0:
        raise _invalid("guards.max_deletes", "a number of deletions must not be negative")


def _invalid(field: str, message: str) -> ServiceError:
    return ServiceError(Reason.ARGUMENT_INVALID, message, field=f"source.{field}")
