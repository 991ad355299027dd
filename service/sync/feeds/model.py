"""What a feed says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from index import Attributes

MAX_ITEM_CHARS = 1 << 20  # of a line, a row or an item; a longer one fails alone
MAX_FIELD_CHARS = 1 << 16  # of an XML element that are kept; no id, link or attribute is longer
MAX_FIELDS = 2000  # of an item


class FeedFormat(StrEnum):
    """Formats that are understood."""

    XML = "xml"  # Google Merchant: RSS 2.0 or Atom with the g: namespace
    TABLE = "table"  # CSV or TSV with a header: Google, Meta, or of one's own with a mapping
    SHOPIFY_CSV = "shopify-csv"
    SHOPIFY_JSON = "shopify-json"  # /products.json
    JSON = "json"  # one document: a list of items, wherever it stands
    JSONL = "jsonl"
    FOLDER = "folder"  # picture files below a folder of the operator's


class FieldType(StrEnum):
    """How a field of the feed becomes an attribute's value."""

    TEXT = "text"
    NUMBER = "number"  # "12.50 EUR" is 12.5
    BOOLEAN = "boolean"
    LIST = "list"  # JSON, or separated by |, ends of lines, commas or semicolons
    PRICE = "price"  # "12.50 EUR" is 12.5, with a second attribute NAME_currency


@dataclass(frozen=True)
class AttributeField:
    """Where an attribute comes from, and what it is."""

    column: str
    type: FieldType = FieldType.TEXT


@dataclass(frozen=True)
class FieldMapping:
    """Names of the feed's fields; an empty one stands for the usual names. attributes: by the attribute's name; empty
    for all that are usual."""

    record_id: str = ""
    product_id: str = ""
    pictures: tuple[str, ...] = ()
    attributes: Mapping[str, AttributeField] = field(default_factory=dict)


@dataclass(frozen=True)
class FeedOptions:
    """How to read a feed; what is empty is found out. encoding: a Python name of one; delimiter: of a table."""

    format: FeedFormat | None = None
    encoding: str = ""
    delimiter: str = ""
    mapping: FieldMapping = FieldMapping()


class Row(NamedTuple):
    """Fields by lower-case name, in the order of the feed; a field that is repeated has a list."""

    line: int
    fields: Mapping[str, object]


class Item(NamedTuple):
    """A thing that a shop sells. `pictures`: URLs, the main one first. `left_out`: attributes whose value did not fit
    their type. `notes`: what of the item was left out, and why, for people."""

    line: int
    item_id: str
    product_id: str
    pictures: tuple[str, ...]
    attributes: Attributes
    deleted: bool = False
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """How a field of a feed is understood. name: as the feed writes it; role: `id`, `product id`, `picture`,
    `attribute`, `deletion` or `left out`; attribute, type: what becomes of it; reason: why it is left out; samples:
    values as the feed has them; count: items that have it; left_out: how many of these could not be used."""

    name: str
    role: str
    attribute: str = ""
    type: str = ""
    reason: str = ""
    samples: tuple[str, ...] = ()
    count: int = 0
    left_out: int = 0


class Problem(NamedTuple):
    """An item that cannot be used."""

    line: int
    message: str
    item_id: str = ""


class FeedError(Exception):
    """A feed that cannot be used at all, or was not read to its proper end. `reason` is stable, for scripts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
