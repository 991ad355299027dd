"""Shopify's product CSV: a product has several rows with one handle, and only the first has all columns.

Rows of one handle are usually adjacent. If they are not, the feed is read twice. The first pass finds the handles that
occur again (64 bits of each are kept). In the second pass, only those products are held back until they are complete.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator

import numpy as np

from service.sync.feeds.model import MAX_ITEM_CHARS, FeedError, Problem, Row
from service.sync.feeds.tables.rows import Table

# Column names changed between versions of the export.
_NAMES = {
    "handle": ("handle", "url handle"),
    "title": ("title",),
    "brand": ("vendor",),
    "product_type": ("type", "product_type"),
    "tags": ("tags",),
    "price": ("variant price", "price"),
    "status": ("status",),
    "image_link": ("image_src", "product_image_url"),
    "variant_image": ("variant image", "variant image url"),
    "position": ("image position",),
}
_NO_FIELDS = frozenset({"handle", "image_link", "variant_image", "position"})
_MAX_HELD = 16 << 20  # characters of products whose rows are scattered
_ROW_COSTS = 500
Rows = Iterator[Row | Problem]


def is_shopify_header(fields: tuple[str, ...]) -> bool:
    """Whether a table with these fields is a Shopify export."""
    return any(n in fields for n in _NAMES["handle"]) and any(n in fields for n in _NAMES["image_link"])


def products(table: Callable[[], Table], own: frozenset[str]) -> Rows:
    """One row for each handle, with its pictures as a list.

    `table`: reads the feed from its start at each call. `own`: further fields to keep, which the mapping names.
    """
    scattered = _Scattered(table().values(_NAMES["handle"]))
    held: dict[str, _Product] = {}
    size = 0
    for found in _groups(table(), own):
        if isinstance(found, Problem) or found.handle not in scattered:
            yield found if isinstance(found, Problem) else found.row()
        elif found.handle in held:
            size += found.size
            held[found.handle].add(found)
        elif size + found.size > _MAX_HELD:
            message = (
                "the rows of this handle are not contiguous, and neither are those of too many others; sort the export"
            )
            yield Problem(found.line, message, found.handle[:256])
        else:
            size += found.size
            held[found.handle] = found
    for product in held.values():
        yield product.row()


class _Product:
    """The rows of a handle so far."""

    def __init__(self, line: int, handle: str) -> None:
        self.line, self.handle = line, handle
        self.fields: dict[str, object] = {}
        self.pictures: dict[str, int] = {}  # with their positions
        self.size = 0

    def take(self, row: Row, columns: _Columns, own: frozenset[str]) -> None:
        values = columns.values(row)
        self.size += sum(map(len, values.values())) + _ROW_COSTS
        if self.size > MAX_ITEM_CHARS:
            return
        position = values.get("position", "")
        for name in ("image_link", "variant_image"):
            if name in values:
                at = int(position) if name == "image_link" and position.isdecimal() and len(position) < 6 else 1 << 20
                self.pictures[values[name]] = min(at, self.pictures.get(values[name], at))
        for name, value in values.items():
            if name not in _NO_FIELDS and name not in self.fields:
                self.fields[name] = value.split(",") if name == "tags" else value
        for name in own & row.fields.keys():
            self.fields.setdefault(name, row.fields[name])

    def add(self, other: _Product) -> None:
        for link, at in other.pictures.items():
            self.pictures.setdefault(link, at)
        for name, value in other.fields.items():
            self.fields.setdefault(name, value)
        self.size += other.size

    def row(self) -> Row | Problem:
        if self.size > MAX_ITEM_CHARS:
            return Problem(self.line, f"the product has more than {MAX_ITEM_CHARS} characters", self.handle[:256])
        pictures = sorted(self.pictures, key=self.pictures.__getitem__)
        return Row(self.line, {"id": self.handle, "image_link": pictures, **self.fields})


class _Columns:
    """Maps the columns of a table to the fields of a product."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        there = {name: tuple(c for c in columns if c in fields) for name, columns in _NAMES.items()}
        self.every = frozenset(c for columns in there.values() for c in columns)
        self._handle = there["handle"]
        self._one = {columns[0]: name for name, columns in there.items() if len(columns) == 1}
        self._several = {name: columns for name, columns in there.items() if len(columns) > 1}

    def handle(self, row: Row) -> str:
        return _first(row, self._handle)

    def values(self, row: Row) -> dict[str, str]:
        """Values by field, without empty ones."""
        one = self._one
        values = {one[c]: v if type(v) is str else _first(row, (c,)) for c, v in row.fields.items() if c in one}
        for name, columns in self._several.items():
            if value := _first(row, columns):
                values[name] = value
        return values


def _groups(table: Table, own: frozenset[str]) -> Iterator[_Product | Problem]:
    """Groups adjacent rows with one handle. A row without a handle belongs to the previous one."""
    current: _Product | None = None
    columns = _Columns(table.fields)
    table.keep({*own, *columns.every})
    for row in table.rows():
        if isinstance(row, Problem):
            yield row
            continue
        handle = columns.handle(row)
        if handle and (current is None or handle != current.handle):
            if current is not None:
                yield current
            current = _Product(row.line, handle)
        if current is None:
            yield Problem(row.line, "the row has no handle")
        else:
            current.take(row, columns, own)
    if current is not None:
        yield current


class _Scattered:
    """Handles whose rows are not adjacent, as sorted digests."""

    def __init__(self, handles: Iterator[str]) -> None:
        digests = array("Q")
        last = ""
        try:
            for handle in handles:
                if handle and handle != last:
                    digests.append(_digest(handle))
                    last = handle
        except FeedError:
            pass  # raised again when the products are read
        found, counts = np.unique(np.frombuffer(digests, dtype=np.uint64), return_counts=True)
        self._digests = found[counts > 1]

    def __contains__(self, handle: str) -> bool:
        if not len(self._digests):
            return False
        digest = np.uint64(_digest(handle))
        at = int(np.searchsorted(self._digests, digest))
        return at < len(self._digests) and bool(self._digests[at] == digest)


def _digest(handle: str) -> int:
    return int.from_bytes(hashlib.blake2b(handle.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _first(row: Row, names: tuple[str, ...]) -> str:
    for name in names:
        value = row.fields.get(name)
        if value is not None:
            return value if type(value) is str else str(value[0]) if isinstance(value, list) else str(value)
    return ""
