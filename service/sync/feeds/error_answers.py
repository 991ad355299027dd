"""What a shop answers in place of a feed, with status 200 all the same: a page, or JSON that says what went wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from service.sync.feeds.model import FeedError
from service.sync.feeds.values.names import field_name, is_picture

_HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S)
_NO_WORDS = re.compile(r"[\W_]+")
_OF_ERRORS = frozenset(
    {
        "error", "errors", "errorcode", "errormessage", "errordescription", "errormsg", "errortype", "errno", "errmsg",
        "fault", "exception", "traceback", "stacktrace",
    }
)  # fmt: skip
_OF_ANSWERS = frozenset({"message", "msg", "detail", "details", "status", "statuscode", "success", "ok", "httpstatus"})
_BESIDE_THEM = frozenset(
    {
        "code", "type", "title", "instance", "path", "timestamp", "time", "date", "requestid", "traceid", "trace",
        "reason", "data", "parameters", "method", "documentationurl", "help", "hint", "result", "subcode", "moreinfo",
    }
)  # fmt: skip


def refuse_error_answers(text: str, own: frozenset[str] = frozenset()) -> None:
    """Raises FeedError (FEED_NOT_RECOGNISED) where this beginning of a file is a page, or all of a message of an
    error; FEED_EMPTY where there is nothing in the JSON. `own`: fields that a mapping names."""
    if _HTML.match(text):
        raise FeedError("FEED_NOT_RECOGNISED", "this is a web page, not a feed")
    if text.lstrip()[:1] not in ("{", "["):
        return
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return  # it goes on, or is several lines
    if not found:
        raise FeedError("FEED_EMPTY", "the feed has no items")
    answers = found if isinstance(found, list) else [found]
    if answers and all(isinstance(a, dict) and own.isdisjoint(a) and _tells_of_an_error(a) for a in answers):
        names = ", ".join(f"`{name[:40]}`" for name in list(answers[0])[:5])
        message = f"this is an error message, not a feed: JSON with {names}; open the source's URL to see it"
        raise FeedError("FEED_NOT_RECOGNISED", message)


def _tells_of_an_error(answer: Mapping[str, object]) -> bool:
    """Whether it has an error and no items, or nothing but what answers without items have."""
    values = {_NO_WORDS.sub("", name.lower()): value for name, value in answer.items()}
    if any(is_picture(field_name(name)) for name in answer):
        return False
    if any(_may_hold_items(value) for name, value in values.items() if name not in _OF_ERRORS):
        return False
    if any(values.get(name) for name in _OF_ERRORS):
        return True
    return values.keys() <= _OF_ANSWERS | _BESIDE_THEM and not values.keys().isdisjoint(_OF_ANSWERS)


def _may_hold_items(value: object) -> bool:
    if isinstance(value, dict):
        return any(isinstance(inner, dict) or _may_hold_items(inner) for inner in value.values())
    return isinstance(value, list) and any(isinstance(inner, dict) for inner in value)
