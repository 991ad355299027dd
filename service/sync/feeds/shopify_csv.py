"""Shopify's product CSV: a product is several rows with one handle, of which only the first names all columns."""

from __future__ import annotations

from collections.abc import Iterator

from service.sync.feeds.model import Problem, Row

# Column names changed between versions of the export.
_NAMES = {
    "handle": ("handle", "url handle"),
    "title": ("title",),
    "brand": ("vendor",),
    "product_type": ("type", "product type"),
    "tags": ("tags",),
    "price": ("variant price", "price"),
    "status": ("status",),
    "image_link": ("image src", "product image url"),
    "variant_image": ("variant image", "variant image url"),
}


def is_shopify_header(columns: list[str]) -> bool:
    """Whether a table with these columns is Shopify's."""
    return any(n in columns for n in _NAMES["handle"]) and any(n in columns for n in _NAMES["image_link"])


def products(rows: Iterator[Row | Problem]) -> Iterator[Row | Problem]:
    """One row for each handle, its pictures in a list."""
    current: dict[str, object] = {}
    line = 0
    for row in rows:
        if isinstance(row, Problem):
            yield row
            continue
        fields = {name: value for name, old in _NAMES.items() if (value := _first(row, old))}
        handle = fields.get("handle")
        if handle and handle != current.get("id"):
            if current:
                yield Row(line, current)
            line, current = row.line, {"id": handle, "image_link": []}
        if not current:
            yield Problem(row.line, "the row names no handle")
            continue
        _merge(current, fields)
    if current:
        yield Row(line, current)


def _merge(current: dict[str, object], fields: dict[str, str]) -> None:
    pictures = current["image_link"]
    assert isinstance(pictures, list)
    for name in ("image_link", "variant_image"):
        if name in fields and fields[name] not in pictures:
            pictures.append(fields[name])
    for name, value in fields.items():
        if name not in ("handle", "image_link", "variant_image"):
            current.setdefault(name, value.split(",") if name == "tags" else value)


def _first(row: Row, names: tuple[str, ...]) -> str:
    return next((str(row.fields[n]) for n in names if n in row.fields), "")
