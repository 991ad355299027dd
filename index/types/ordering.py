"""The order of records by an attribute.

Numbers come before texts, texts before booleans: numbers by value, texts by code point, false before true. Descending
is the reverse. Records without such a value come last in both directions, also those with a list.
"""

from __future__ import annotations

from typing import NamedTuple

from index.types.attributes import check_attribute_name
from index.types.errors import InvalidInput
from index.types.record import AttributeValue

SortValue = str | float | bool
SortKey = tuple[int, SortValue]  # the kind of the value, and the value


class Order(NamedTuple):
    """By which attribute, and in which direction."""

    attribute: str
    descending: bool = False


class Position(NamedTuple):
    """A place in the order of records. value: of the record's attribute; None: it has none. Records with equal values
    are in order of their row ids."""

    value: SortValue | None
    row_id: int


def parse_order(text: str) -> Order | None:
    """Reads `price`, `price asc` or `price desc`; None for an empty text. Raises InvalidInput (order_by)."""
    words = text.split()
    if not words:
        return None
    if len(words) > 2 or words[1:] not in ([], ["asc"], ["desc"]):
        raise InvalidInput("order_by", f"{text[:80]!r} is not an order; write price, or price desc")
    try:
        check_attribute_name(words[0])
    except InvalidInput as error:
        raise InvalidInput("order_by", str(error)) from None
    return Order(words[0], words[1:] == ["desc"])


def sort_key(value: AttributeValue | None) -> SortKey | None:
    """What a value is compared by; None for no value, and for a list."""
    if value is None or isinstance(value, tuple):
        return None
    return (2 if isinstance(value, bool) else 1 if isinstance(value, str) else 0), value
