"""Parses prices and numbers as people write them.

A text is parsed as a whole or not at all. `from 12.99`, `10-20` and `12.99 14.99` are rejected.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from service.sync.feeds.values.currencies import CURRENCIES, agreed, decimals

_MAX_LENGTH = 64  # characters; no price is longer
_INVISIBLE = re.compile("[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_ALIKE = str.maketrans(
    dict.fromkeys("‐‑‒–—―−﹣－", "-")
    | dict.fromkeys("‘’ʼʹ′´`＇٬", "'")
    | dict.fromkeys("٫·", "·")
    | {"\uff0e": ".", "\uff0c": ",", "\uff04": "$"}
    | {chr(c): " " for c in (0x9, 0xA, 0xD, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)}
)
_CURRENCY = "|".join(re.escape(w) for w in sorted(CURRENCIES, key=len, reverse=True))
_PRICE = re.compile(
    rf"(?P<sign>[-+]?) ?(?P<before>{_CURRENCY})? ?(?P<inner_sign>[-+]?) ?"
    rf"(?P<number>\d[\d.,'· ]*|[.,·]\d+) ?(?P<none>[.,:]-{{1,2}}|--)? ?(?P<after>{_CURRENCY})?",
    re.IGNORECASE,
)
_SPLIT = re.compile(  # 12€50
    rf"(?P<sign>[-+]?) ?(?P<whole>\d[\d.,'· ]*)(?P<currency>{_CURRENCY})(?P<cents>\d\d)", re.IGNORECASE
)
_MACHINE = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_EXPONENT = re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d{1,3}")
_UNIT = re.compile(r"\s*(?P<unit>[^\W\d_]{1,10}|[%°\"'′″])[23²³]?\.?")
_MARKS = frozenset("%°\"'′″")
_INDIAN = re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}(?:[.·]\d*)?")
_GROUPED = {
    ",": re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:[.·]\d*)?"),
    ".": re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+(?:[,·]\d*)?"),
    "'": re.compile(r"[1-9]\d{0,2}(?:'\d{3})+(?:[.,·]\d*)?"),
    " ": re.compile(r"[1-9]\d{0,2}(?: \d{3})+(?:[.,·]\d*)?"),
}


class Price(NamedTuple):
    """An amount and its ISO 4217 code, which is empty if the text names no currency or an ambiguous one."""

    amount: float
    currency: str = ""


class NotANumber(ValueError):
    """The text is not exactly one price or number. The message says why."""


@lru_cache(maxsize=4096)
def parse_price(text: str) -> Price:
    """Parses a price. Raises NotANumber if it is not one, is several, or is ambiguous."""
    plain = _plain(text)
    if _EXPONENT.fullmatch(plain):
        return Price(_finite(float(plain)))
    split = _SPLIT.fullmatch(plain)
    if split is not None:  # the currency replaces the decimal separator
        code = CURRENCIES[split["currency"].lower()]
        amount = _amount(split["whole"].strip(), "EUR") + int(split["cents"]) / 100
        return Price(_signed(split["sign"], "", round(amount, 2)), code)
    found = _PRICE.fullmatch(plain)
    if found is None:
        raise NotANumber("is not a single number with a currency")
    code_or_none = agreed((found["before"] or "").lower(), (found["after"] or "").lower())
    if code_or_none is None:
        raise NotANumber("has two currencies")
    digits = found["number"].strip()
    marked = bool(found["before"] or found["after"] or found["none"])
    if found["none"] and re.search(r"[.,·]\d{1,2}$", digits):
        raise NotANumber("is not a single number with a currency")
    amount = _amount(digits, code_or_none, ambiguous=not marked)
    return Price(_signed(found["sign"], found["inner_sign"], amount), code_or_none)


def parse_number(text: str) -> float:
    """Parses a number: in machine format, as people write prices, or with one unit (`12.5 kg`). Raises NotANumber."""
    plain = _plain(text)
    if _MACHINE.fullmatch(plain):
        return _finite(float(plain)) + 0.0  # -0.0 is 0.0
    try:
        return parse_price(text).amount
    except NotANumber:
        number = re.match(r"[-+]?[\d.,'·]+", plain)
        unit = _UNIT.fullmatch(plain, number.end()) if number else None
        if number is None or unit is None or not (unit["unit"] in _MARKS or unit["unit"].isalpha()):
            raise
    if _MACHINE.fullmatch(number[0]):
        return _finite(float(number[0]))
    return parse_price(number[0]).amount


def _plain(text: str) -> str:
    """Normalises digits to ASCII, and the variants of minus, apostrophe and blank to one character each."""
    if len(text) > _MAX_LENGTH:
        raise NotANumber("is too long for a number")
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii() or "`" in text:
        text = _INVISIBLE.sub("", text).translate(_ALIKE)
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    return " ".join(text.split())


def _amount(digits: str, code: str, *, ambiguous: bool = False) -> float:
    """The value of digits with separators. `ambiguous`: nothing indicates a price with two decimals."""
    if digits.isdigit():
        return _finite(float(digits))
    marks = [c for c in digits if not c.isdigit()]
    if len(marks) == 1 and marks[0] in ".,·":
        whole, _, part = digits.partition(marks[0])
        if marks[0] == "·" or len(part) != 3 or not 0 < len(whole) <= 3 or whole[0] == "0":
            return _finite(float(f"{whole or 0}.{part or 0}"))
        if (marks[0] == "." and ambiguous) or (decimals(code) == 3 and marks[0] == ","):
            raise NotANumber(f"is ambiguous: {whole}{part} or {whole}.{part}")
        if decimals(code) == 3:
            return _finite(float(f"{whole}.{part}"))
        return _finite(float(whole + part))
    pattern = _GROUPED.get(marks[0])
    if (pattern is not None and pattern.fullmatch(digits)) or _INDIAN.fullmatch(digits):
        return _without_groups(digits, marks)
    raise NotANumber("is not a single number with a currency")


def _without_groups(digits: str, marks: list[str]) -> float:
    decimal = marks[-1] if marks[-1] != marks[0] else ""
    whole, _, part = digits.rpartition(decimal) if decimal else (digits, "", "0")
    return _finite(float(f"{''.join(c for c in whole if c.isdigit())}.{part or 0}"))


def _signed(outer: str, inner: str, amount: float) -> float:
    if outer and inner:
        raise NotANumber("has two signs")
    return -amount if "-" in (outer, inner) and amount else amount


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise NotANumber("is too large for a number")
    return value
