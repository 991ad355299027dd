"""What may be said of an error of Redis: never a command, a key or a URL, which redis-py quotes."""

from __future__ import annotations

import re

from redis.exceptions import ResponseError

_CODE = re.compile(r"(?:of pipeline caused error: )?([A-Z][A-Z]{2,20})(?: |$)")


def told(error: Exception) -> str:
    """The class of an error, and the code that Redis gave it, such as `OOM` or `READONLY`, where it gave one."""
    code = _CODE.search(str(error).rpartition("caused error: ")[2]) if isinstance(error, ResponseError) else None
    return f"{type(error).__name__} {code[1]}" if code else type(error).__name__
