"""Detects the encoding of a feed.

The order is: the encoding configured for the source, a byte order mark, the XML declaration, UTF-8. In the last case,
bytes that are not valid UTF-8 are read as Windows-1252. Undecodable bytes become U+FFFD, which ids and links must not
contain.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import NamedTuple

from service.sync.feeds.model import FeedError

LIKE_UTF_8 = "utf-8"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
# The first ASCII characters in wide encodings without a byte order mark.
_WIDE = (
    (re.compile(rb"[\x01-\x7f]\0\0\0[\x01-\x7f]\0\0\0"), "utf-32-le"),
    (re.compile(rb"\0\0\0[\x01-\x7f]\0\0\0[\x01-\x7f]"), "utf-32-be"),
    (re.compile(rb"[\x01-\x7f]\0[\x01-\x7f]\0"), "utf-16-le"),
    (re.compile(rb"\0[\x01-\x7f]\0[\x01-\x7f]"), "utf-16-be"),
)
_DECLARED = re.compile(rb"\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([^\"'>]{1,60})[\"']")
# As in browsers, a label stands for the larger encoding that feeds actually use.
_EFFECTIVE = {
    "latin-1": "cp1252", "iso8859-1": "cp1252", "ascii": LIKE_UTF_8, "utf-8-sig": LIKE_UTF_8, "gb2312": "gb18030",
    "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "iso8859-9": "cp1254", "tis-620": "cp874",
    "iso8859-11": "cp874", "big5": "big5hkscs", "utf-16": "utf-16-le", "utf-32": "utf-32-le",
}  # fmt: skip
_OTHER_NAMES = {
    "ansi": "cp1252", "western": "cp1252", "win1252": "cp1252", "xsjis": "cp932", "sjis": "cp932",
    "windows31j": "cp932",
    "ms932": "cp932", "xeucjp": "euc_jp", "xeuckr": "cp949", "windows949": "cp949", "xgbk": "gb18030",
    "gb2312": "gb18030",
    "windows936": "gb18030", "xmacroman": "mac_roman", "macintosh": "mac_roman", "unicode": "utf-16-le",
    "ucs2": "utf-16-le",
    "utf8mb4": LIKE_UTF_8, "unicode11utf8": LIKE_UTF_8, "windows874": "cp874", "koi8": "koi8_r", "big5hk": "big5hkscs",
}  # fmt: skip
_NOT_TEXT_ENCODINGS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf-7"})
_SEPARATORS = re.compile(r"[^a-z0-9]+")


class Encoding(NamedTuple):
    """A detected encoding.

    - `name`: Python's name.
    - `mark`: length of the byte order mark in bytes.
    - `certain`: whether the encoding is declared.
    """

    name: str
    mark: int = 0
    certain: bool = True

    @property
    def errors(self) -> str:
        """The error handler for bytes that are invalid in this encoding."""
        return _fallback() if self.name == LIKE_UTF_8 and not self.certain else "replace"


def encoding_of(head: bytes, wanted: str = "") -> Encoding:
    """The encoding of a feed that begins with `head`. `wanted`: the encoding configured for the source.

    Raises FeedError (FEED_DAMAGED) if the named encoding is unknown.
    """
    marked, mark = next(((name, len(m)) for m, name in _MARKS if head.startswith(m)), ("", 0))
    if wanted:
        return Encoding(known_encoding(wanted), mark)
    if marked:
        return Encoding(marked, mark, certain=marked != LIKE_UTF_8)
    wide = next((name for pattern, name in _WIDE if pattern.match(head)), "")
    if wide:
        return Encoding(wide)
    declared = _DECLARED.match(head)
    if declared is None:
        return Encoding(LIKE_UTF_8, certain=False)
    name = known_encoding(declared[1].decode("ascii", "replace"))
    if name == LIKE_UTF_8 or name.startswith(("utf-16", "utf-32")):  # it was read as ASCII, so it is not wide
        return Encoding(LIKE_UTF_8, certain=False)
    return Encoding(name)


def known_encoding(name: str) -> str:
    """Python's name of an encoding in any spelling. Raises FeedError (FEED_DAMAGED)."""
    plain = _SEPARATORS.sub("", name.lower())
    spellings = (
        name.strip(),
        plain,
        f"cp{plain.removeprefix('windows').removeprefix('win')}",
        f"iso{plain}",
        plain[1:],
    )
    for spelling in (_OTHER_NAMES.get(plain, ""), *spellings):
        found = _looked_up(spelling)
        if found:
            return _EFFECTIVE.get(found, found)
    raise FeedError("FEED_DAMAGED", f"unknown encoding {name[:40]!r}; set the source's encoding")


def _looked_up(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_ .:-]*", name):
        return ""
    try:
        found = codecs.lookup(name).name
        "".encode(found)  # raises LookupError if it is not a text encoding
    except (LookupError, ValueError):
        return ""
    return "" if found in _NOT_TEXT_ENCODINGS else found


@lru_cache(maxsize=1)
def _fallback() -> str:
    """The name of the error handler that reads invalid UTF-8 as Windows-1252."""
    codecs.register_error("afterimage.windows-1252", _as_windows_1252)
    return "afterimage.windows-1252"


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end
