"""From the fields of a row to an item, by the usual names or by a mapping."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from index.attributes import MAX_ATTRIBUTES, MAX_LIST_VALUES, MAX_STRING_BYTES, check_id
from index.errors import InvalidInput
from index.model import AttributeValue
from service.sync.feeds.model import FieldMapping, FieldType, Item, Problem, Row

MAX_PICTURES = 25
_IDS = ("id", "record_id", "sku", "item_id", "guid")
_PRODUCT_IDS = ("item_group_id", "product_id", "group_id")
_PICTURES = ("image_link", "image", "images", "image_url", "picture", "url", "image[0].url", "photo")
_MORE_PICTURES = ("additional_image_link", "additional_image_links", "additional_images")
_INDEXED = re.compile(r"image\[[1-9]\d?\]\.url")
_TYPES = {"price": FieldType.NUMBER, "sale_price": FieldType.NUMBER, "tags": FieldType.LIST}
# What is long, personal or of no use for filtering stays out unless a mapping asks for it.
_NOT_USUAL = frozenset(
    {"description", "rich_text_description", "deleted", "attributes", "summary", "content", "tax", "shipping"}
)
_NUMBER = re.compile(r"[-+]?\d[\d\s.,']*")
_BLANKS = re.compile(r"[\s'\u00a0\u202f]")
_MOST_SHAPES = 1000
_SURELY_SHORT = MAX_STRING_BYTES // 4  # characters
_TRUE, _FALSE = frozenset({"true", "yes", "1", "y"}), frozenset({"false", "no", "0", "n"})


class _Shape(NamedTuple):
    item_id: str
    product_id: str
    pictures: tuple[str, ...]
    attributes: tuple[tuple[str, str, FieldType], ...]


class ItemReader:
    """Makes items of rows."""

    def __init__(self, mapping: FieldMapping) -> None:
        self._ids = _named(mapping.record_id, _IDS)
        self._product_ids = _named(mapping.product_id, _PRODUCT_IDS)
        self._pictures = tuple(n.lower() for n in mapping.pictures)
        self._mapped = [(n, f.column.lower(), f.type) for n, f in mapping.attributes.items()]
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def item(self, row: Row) -> Item | Problem:
        """The item of a row, or why there is none."""
        fields = row.fields
        shape = self._shape(tuple(fields))
        item_id = _text(fields[shape.item_id]) if shape.item_id else ""
        try:
            check_id("id", item_id)
            deleted = fields.get("deleted") in (True, "true", "1", "yes")
            product_id = (_text(fields[shape.product_id]) if shape.product_id else "") or item_id
            if product_id is not item_id:
                check_id("product id", product_id)
        except InvalidInput as error:
            return Problem(row.line, str(error), item_id[:256])
        pictures = () if deleted else _pictures_of(fields, shape.pictures)
        if not deleted and not pictures:
            return Problem(row.line, "the item has no picture", item_id)
        attributes, left_out = self._attributes_of(fields, shape)
        return Item(row.line, item_id, product_id, pictures, attributes, deleted, left_out)

    def _attributes_of(
        self, fields: Mapping[str, object], shape: _Shape
    ) -> tuple[dict[str, AttributeValue], tuple[str, ...]]:
        values: dict[str, AttributeValue] = {}
        left_out: tuple[str, ...] = ()
        for name, column, kind in shape.attributes:
            given = fields[column]
            if kind is FieldType.TEXT and type(given) is str and given and len(given) <= _SURELY_SHORT:
                values[name] = given
                continue
            value = attribute_value(given, kind)
            if value is not None:
                values[name] = value
            elif given not in ("", None):
                left_out = (*left_out, name)
        given = fields.get("attributes")  # JSON lines may have them together
        if not self._mapped and isinstance(given, Mapping):
            named = ((attribute_name(str(n)), own_value(g)) for n, g in given.items())
            values.update({n: v for n, v in named if n and v is not None})
        return values, left_out

    def _shape(self, names: tuple[str, ...]) -> _Shape:
        """Which of a row's fields is what; rows of a feed have few sets of fields."""
        found = self._shapes.get(names)
        if found is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            found = self._shapes[names] = self._new_shape(names)
        return found

    def _new_shape(self, names: tuple[str, ...]) -> _Shape:
        if self._pictures:
            pictures = tuple(n for n in self._pictures if n in names)
        else:
            main = next((n for n in _PICTURES if n in names), "")
            more = tuple(n for n in names if n in _MORE_PICTURES or _INDEXED.fullmatch(n))
            pictures = (main, *more) if main else more
        return _Shape(
            next((n for n in self._ids if n in names), ""), next((n for n in self._product_ids if n in names), ""),
            pictures, tuple(m for m in self._mapped if m[1] in names) if self._mapped else self._usual(names),
        )  # fmt: skip

    def _usual(self, names: tuple[str, ...]) -> tuple[tuple[str, str, FieldType], ...]:
        used = {*self._ids, *self._product_ids, *_PICTURES, *_MORE_PICTURES, *self._pictures} | _NOT_USUAL
        free = [n for n in names if n not in used and not _INDEXED.fullmatch(n)][:MAX_ATTRIBUTES]
        targets = ((attribute_name(n), n) for n in free)
        return tuple((target, n, _TYPES.get(target, FieldType.TEXT)) for target, n in targets if target)


def _pictures_of(fields: Mapping[str, object], names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) == 1 and isinstance(link := fields[names[0]], str) and "," not in link:
        return (link,) if link else ()
    found = [link for n in names for link in _links(fields[n])]
    return tuple(dict.fromkeys(found))[:MAX_PICTURES]


def attribute_name(name: str) -> str:
    """A column's name as one of an attribute; empty where nothing of it can be used."""
    plain = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")[:64]
    if plain in ("record_id", "product_id"):
        return ""
    return plain if plain[:1].isalpha() else f"x_{plain}"[:64] if plain else ""


def attribute_value(given: object, kind: FieldType) -> AttributeValue | None:
    """A field as a value of a type; None where it is none. JSON's own types stay."""
    if kind is FieldType.TEXT:
        return own_value(given)
    if kind is FieldType.NUMBER:
        return given + 0.0 if _is_number(given) else _number(_text(given))  # type: ignore[operator]
    if kind is FieldType.BOOLEAN:
        word = str(given).strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    if kind is FieldType.LIST:
        parts = given if isinstance(given, list) else _text(given).split(",")
        return tuple(_cut(t) for p in parts[:MAX_LIST_VALUES] if (t := _text(p).strip()))
    return None


def own_value(given: object) -> AttributeValue | None:
    """A field as it is: text, number, boolean or list of texts."""
    if isinstance(given, str):
        return _cut(given) or None
    if isinstance(given, bool):
        return given
    if _is_number(given):
        return float(given)  # type: ignore[arg-type]
    if isinstance(given, list):
        return tuple(_cut(_text(v)) for v in given[:MAX_LIST_VALUES] if _text(v))
    return None


def _number(text: str) -> float | None:
    """The number in a price: `1,234.50 USD`, `1.234,50 EUR`, `12,50`."""
    found = _NUMBER.search(text)
    if found is None:
        return None
    digits = _BLANKS.sub("", found[0]).rstrip(".,")
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma > point:  # the last separator is the decimal one, unless it only groups thousands
        grouping = digits.count(",") > 1 or (point < 0 and len(digits) - comma == 4)
        digits = digits.replace(",", "") if grouping else digits.replace(".", "").replace(",", ".")
    else:
        digits = digits.replace(",", "")
        if digits.count(".") > 1:
            digits = digits.replace(".", "")
    try:
        value = float(digits)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _links(given: object) -> list[str]:
    """URLs in a field: one, several separated by commas (a comma within is %2C), or a list."""
    if isinstance(given, list):
        return [link for part in given for link in _links(part.get("url") if isinstance(part, Mapping) else part)]
    text = _text(given)
    return [t for part in re.split(r",(?=\s*https?://)|,\s+", text) if (t := part.strip())]


def _text(given: object) -> str:
    if isinstance(given, list):
        given = given[0] if given else ""
    if isinstance(given, bool | int | float):
        return str(given).lower() if isinstance(given, bool) else f"{given:.15g}"
    return given.strip() if isinstance(given, str) else ""


def _cut(text: str) -> str:
    if len(text) <= _SURELY_SHORT:
        return text
    raw = text.encode("utf-8", "replace")
    return raw.decode() if len(raw) <= MAX_STRING_BYTES else raw[:MAX_STRING_BYTES].decode("utf-8", "ignore")


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def _named(own: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    return (own.lower(),) if own else usual
