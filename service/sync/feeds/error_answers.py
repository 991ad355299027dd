"""Detects error pages and error messages that a shop sends with status 200 in place of a feed."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from service.sync.feeds.model import FeedError
from service.sync.feeds.values.names import field_name, is_picture

_HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S)
_NOT_WORD = re.compile(r"[\W_]+")
_ERROR_FIELDS = frozenset(
    {
        "error", "errors", "errorcode", "errormessage", "errordescription", "errormsg", "errortype", "errno", "errmsg",
        "fault", "exception", "traceback", "stacktrace",
    }
)  # fmt: skip
_STATUS_FIELDS = frozenset(
    {"message", "msg", "detail", "details", "status", "statuscode", "success", "ok", "httpstatus"}
)
_ACCOMPANYING_FIELDS = frozenset(
    {
        "code", "type", "title", "instance", "path", "timestamp", "time", "date", "requestid", "traceid", "trace",
        "reason", "data", "parameters", "method", "documentationurl", "help", "hint", "result", "subcode", "moreinfo",
    }
)  # fmt: skip


def refuse_error_answers(text: str, own: frozenset[str] = frozenset()) -> None:
    """Raises FeedError if this beginning of a file is not a feed.

    FEED_NOT_RECOGNISED: it is a web page, or a complete error message. FEED_EMPTY: the JSON is empty. `own`: fields
    that the mapping names.
    """
    if _HTML.match(text):
        raise FeedError("FEED_NOT_RECOGNISED", "this is a web page, not a feed")
    if text.lstrip()[:1] not in ("{", "["):
        return
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return  # the document continues, or is JSON lines
    if not found:
        raise FeedError("FEED_EMPTY", "the feed has no items")
    answers = found if isinstance(found, list) else [found]
    if answers and all(isinstance(a, dict) and own.isdisjoint(a) and _is_error_message(a) for a in answers):
        names = ", ".join(f"`{name[:40]}`" for name in list(answers[0])[:5])
        message = f"this is an error message, not a feed: JSON with {names}; open the source's URL to see it"
        raise FeedError("FEED_NOT_RECOGNISED", message)


def _is_error_message(answer: Mapping[str, object]) -> bool:
    """Whether the object has an error and no items, or only fields of status messages."""
    values = {_NOT_WORD.sub("", name.lower()): value for name, value in answer.items()}
    if any(is_picture(field_name(name)) for name in answer):
        return False
    if any(_may_hold_items(value) for name, value in values.items() if name not in _ERROR_FIELDS):
        return False
    if any(values.get(name) for name in _ERROR_FIELDS):
        return True
    return values.keys() <= _STATUS_FIELDS | _ACCOMPANYING_FIELDS and not values.keys().isdisjoint(_STATUS_FIELDS)


def _may_hold_items(value: object) -> bool:
    if isinstance(value, dict):
        return any(isinstance(inner, dict) or _may_hold_items(inner) for inner in value.values())
    return isinstance(value, list) and any(isinstance(inner, dict) for inner in value)
