"""Converts fields of a feed to attributes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

import orjson

from index import MAX_LIST_VALUES, MAX_STRING_BYTES, AttributeValue
from service.sync.feeds.model import FieldType
from service.sync.feeds.values.prices import NotANumber, Price, parse_number, parse_price

SURELY_SHORT = MAX_STRING_BYTES // 4  # characters
_EXACT = 1 << 53  # a float represents every integer up to here
_TRUE, _FALSE = frozenset({"true", "yes", "1", "y"}), frozenset({"false", "no", "0", "n"})
_LONGEST_NAME = 256  # characters that are looked at
_MICROS = 1_000_000
_NOT_A_NAME = re.compile(r"[^a-z0-9_]+")
_RESERVED = ("record_id", "product_id")


class WrittenFloat(float):
    """A number of a JSON document, with its digits as written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        made = super().__new__(cls, text)
        made.text = text
        return made


def attribute_name(name: str) -> str:
    """The name of a column as an attribute name; empty if it has no usable character."""
    return _attribute_name(name[:_LONGEST_NAME])


@lru_cache(maxsize=4096)
def _attribute_name(name: str) -> str:
    plain = _NOT_A_NAME.sub("_", name.lower()).strip("_")[:64]
    if plain in _RESERVED:
        return ""
    return plain if plain[:1].isalpha() else f"x_{plain}"[:64] if plain else ""


def attribute_value(given: object, kind: FieldType) -> AttributeValue | None:
    """Converts a field to a type; None if that is not possible.

    TEXT preserves JSON's numbers as written. For PRICE the result is the amount.
    """
    if kind is FieldType.TEXT:
        return own_value(given) if isinstance(given, list) else cut(as_text(given)) or None
    if kind is FieldType.LIST:
        return list_value(given)
    if kind is FieldType.BOOLEAN:
        word = str(given).strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    try:
        return price_value(given).amount if kind is FieldType.PRICE else number_value(given)
    except NotANumber:
        return None


def own_value(given: object) -> AttributeValue | None:
    """A field with its JSON type: text, number, boolean or list of texts.

    An integer too large for a float becomes text.
    """
    if isinstance(given, str):
        return cut(given) or None
    if isinstance(given, bool):
        return given
    if isinstance(given, int | float):
        if isinstance(given, int) and abs(given) > _EXACT:
            return as_text(given)
        return float(given) + 0.0 if math.isfinite(given) else None
    if isinstance(given, list):
        return tuple(t for v in given[:MAX_LIST_VALUES] if (t := cut(as_text(v)))) or None
    return None


def list_value(given: object) -> tuple[str, ...] | None:
    """A list of texts, from JSON or from a text split at `|`, else at line breaks, else at commas, else at
    semicolons."""
    parts = given if isinstance(given, list) else _split(as_text(given))
    return tuple(cut(t) for p in parts[:MAX_LIST_VALUES] if (t := as_text(p).strip()))


def number_value(given: object) -> float:
    """Converts a field to a number. Raises NotANumber."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return _finite(given)
    return parse_number(_only(given))


def price_value(given: object) -> Price:
    """A price from a number, a text, or an object with amount and currency. Raises NotANumber."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return Price(_finite(given))
    if isinstance(given, Mapping):
        return _price_in(given)
    return parse_price(_only(given))


def as_text(given: object) -> str:
    """A field as text, with numbers as written; for a list, its first member."""
    if isinstance(given, str):
        return given.strip()
    if isinstance(given, list):
        return as_text(given[0]) if given else ""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, WrittenFloat):
        return given.text
    if isinstance(given, int | float):
        return str(given)
    return ""


def cut(text: str) -> str:
    """Truncates to the maximum size of an attribute, at a character boundary."""
    if len(text) <= SURELY_SHORT:
        return text
    raw = text.encode("utf-8", "replace")
    return raw.decode() if len(raw) <= MAX_STRING_BYTES else raw[:MAX_STRING_BYTES].decode("utf-8", "ignore")


def _price_in(given: Mapping[str, object]) -> Price:
    fields = {_NOT_A_NAME.sub("", str(n).lower().replace("_", "")): v for n, v in given.items()}
    if "amountmicros" in fields:
        price = Price(number_value(fields["amountmicros"]) / _MICROS)
    else:
        price = price_value(next((fields[n] for n in ("value", "amount", "price") if n in fields), ""))
    named = as_text(fields.get("currency") or fields.get("currencycode")).upper()
    return Price(price.amount, named) if re.fullmatch(r"[A-Z]{3}", named) else price


def _only(given: object) -> str:
    """The single value of a field that may be repeated."""
    if isinstance(given, list):
        texts = {as_text(v) for v in given}
        if len(texts) != 1:
            raise NotANumber("is several values")
        return texts.pop()
    return as_text(given)


def _split(text: str) -> list[object]:
    if text.startswith("["):
        try:
            found = orjson.loads(text)
            return found if isinstance(found, list) else [text]
        except orjson.JSONDecodeError:
            pass
    separator = next((s for s in ("|", "\n", ",", ";") if s in text), "")
    return list(text.split(separator)) if separator else [text]


def _finite(given: float) -> float:
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise NotANumber("is too large for a number")
    return value + 0.0
