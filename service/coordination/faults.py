"""Describes errors of Redis without commands, keys and URLs, which redis-py quotes in messages."""

from __future__ import annotations

import re

from redis.exceptions import ResponseError

_CODE = re.compile(r"(?:of pipeline caused error: )?([A-Z][A-Z]{2,20})(?: |$)")


def error_class(error: Exception) -> str:
    """The class of an error, with Redis's error code such as `OOM` or `READONLY` if there is one."""
    code = _CODE.search(str(error).rpartition("caused error: ")[2]) if isinstance(error, ResponseError) else None
    return f"{type(error).__name__} {code[1]}" if code else type(error).__name__
