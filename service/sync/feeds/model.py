"""Values of the feed parsers: rows, items, problems, options and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from index import Attributes

MAX_ITEM_CHARS = 1 << 20  # per line, row or item; a longer one fails alone
MAX_FIELD_CHARS = 1 << 16  # per XML element; the rest is cut, and no id, link or attribute is longer
MAX_FIELDS = 2000  # per item


class FeedFormat(StrEnum):
    """Supported formats."""

    XML = "xml"  # Google Merchant: RSS 2.0 or Atom with the g: namespace
    TABLE = "table"  # CSV or TSV with a header: Google, Meta, or any other with a mapping
    SHOPIFY_CSV = "shopify-csv"
    SHOPIFY_JSON = "shopify-json"  # /products.json
    JSON = "json"  # one document with a list of items at any path
    JSONL = "jsonl"
    FOLDER = "folder"  # picture files below a folder on the server


class FieldType(StrEnum):
    """How a field is converted to the value of an attribute."""

    TEXT = "text"
    NUMBER = "number"  # "12.50 EUR" is 12.5
    BOOLEAN = "boolean"
    LIST = "list"  # JSON, or separated by |, ends of lines, commas or semicolons
    PRICE = "price"  # "12.50 EUR" is 12.5, with a second attribute NAME_currency


@dataclass(frozen=True)
class AttributeField:
    """The source column and the type of an attribute."""

    column: str
    type: FieldType = FieldType.TEXT


@dataclass(frozen=True)
class FieldMapping:
    """Names of the feed's fields. An empty name stands for the usual names.

    `attributes`: by the attribute's name; if empty, all usual attributes are used.
    """

    record_id: str = ""
    product_id: str = ""
    pictures: tuple[str, ...] = ()
    attributes: Mapping[str, AttributeField] = field(default_factory=dict)


@dataclass(frozen=True)
class FeedOptions:
    """How to read a feed. Empty values are detected. `encoding`: a Python codec name. `delimiter`: of a table."""

    format: FeedFormat | None = None
    encoding: str = ""
    delimiter: str = ""
    mapping: FieldMapping = FieldMapping()


class Row(NamedTuple):
    """Fields by lower-case name, in the order of the feed. A repeated field has a list."""

    line: int
    fields: Mapping[str, object]


class Item(NamedTuple):
    """A product of a shop.

    - `pictures`: URLs, the main one first.
    - `left_out`: attributes whose value did not fit their type.
    - `notes`: what was left out and why, for people.
    """

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
    """How a field of a feed is interpreted.

    - `name`: as written in the feed.
    - `role`: `id`, `product id`, `picture`, `attribute`, `deletion` or `left out`.
    - `attribute`, `type`: name and type of the attribute that it becomes.
    - `reason`: why it is left out.
    - `samples`: values as written in the feed.
    - `count`: items that have it.
    - `left_out`: items whose value could not be used.
    """

    name: str
    role: str
    attribute: str = ""
    type: str = ""
    reason: str = ""
    samples: tuple[str, ...] = ()
    count: int = 0
    left_out: int = 0


class Problem(NamedTuple):
    """An unusable item."""

    line: int
    message: str
    item_id: str = ""


class FeedError(Exception):
    """The feed cannot be used at all, or is incomplete. `reason` is a stable identifier."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
