"""Decides which field of a feed is the id, the product id, a picture or an attribute, and why others are left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from index import MAX_ATTRIBUTES
from service.sync.feeds.model import FieldMapping, FieldType
from service.sync.feeds.values import names as known
from service.sync.feeds.values.attributes import attribute_name

_MAX_SHAPES = 1000
_MAX_NAMES = 50_000  # of all shapes together
_LONG = {"description", "rich_text_description", "summary", "content"}


class Shape(NamedTuple):
    """The layout of rows with one set of fields.

    - `item_id`, `product_id`: fields; empty if there is none.
    - `attributes`: name, field and type. Without a type, JSON types are preserved.
    """

    item_id: str
    product_id: str
    pictures: tuple[str, ...]
    attributes: tuple[tuple[str, str, FieldType | None], ...]


class Layout:
    """The layout of one feed, by the usual names or by a mapping."""

    def __init__(self, mapping: FieldMapping) -> None:
        field = known.field_name
        self._ids = (field(mapping.record_id),) if mapping.record_id else known.IDS
        self._product_ids = (field(mapping.product_id),) if mapping.product_id else known.PRODUCT_IDS
        self._pictures = tuple(dict.fromkeys(field(n) for n in mapping.pictures))
        self._mapped = [(n, field(f.column), f.type) for n, f in mapping.attributes.items()]
        self._declared: tuple[str, ...] = ()
        self._has_pictures = False
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._names = 0

    @property
    def mapped(self) -> bool:
        """Whether the mapping defines the attributes."""
        return bool(self._mapped)

    @property
    def own(self) -> frozenset[str]:
        """The fields that the mapping names."""
        ids = self._ids if len(self._ids) == 1 else ()
        products = self._product_ids if len(self._product_ids) == 1 else ()
        return frozenset((*ids, *products, *self._pictures, *(column for _, column, _ in self._mapped)))

    def declare(self, names: Iterable[str]) -> None:
        """Declares all fields that rows may have, if the feed lists them in advance.

        A row that lacks the id field then has no id.
        """
        self._declared = tuple(names)
        self._has_pictures = any(known.is_picture(n) for n in self._declared)

    def shape(self, names: tuple[str, ...]) -> Shape:
        """The layout for a set of fields. Cached, because the rows of a feed have few different sets."""
        found = self._shapes.get(names)
        if found is None:
            if len(self._shapes) >= _MAX_SHAPES or self._names + len(names) > _MAX_NAMES:
                self._shapes.clear()
                self._names = 0
            self._names += len(names)
            found = self._shapes[names] = self._new_shape(names)
        return found

    def reason_left_out(self, name: str, shape: Shape) -> str:
        """Why a field is left out."""
        if known.is_picture(name):
            return "not one of the mapped pictures" if self._pictures else "another field contains the pictures"
        if self._mapped:
            return "not mapped"
        if name in _LONG:
            return "long text; map it to store its beginning"
        if name in known.NOT_USUAL:
            return "not useful as an attribute; map it to store it"
        if not attribute_name(name):
            return "its name is not valid for an attribute; map it"
        if name == known.PAGE_OR_PICTURE:
            return "the picture, if there is no other"
        return f"more than {MAX_ATTRIBUTES} attributes"

    def _new_shape(self, names: tuple[str, ...]) -> Shape:
        has = set(names)
        every = self._declared or names
        item_id = next((n for n in self._ids if n in every), "")
        product_id = next((n for n in self._product_ids if n in has), "")
        if not item_id:
            item_id = next((n for n in self._product_ids if n in every), "")
        pictures = self._pictures_of(names, has)
        shape = Shape(item_id if item_id in has else "", product_id, pictures, ())
        if self._mapped:
            return shape._replace(attributes=tuple(m for m in self._mapped if m[1] in has))
        return shape._replace(attributes=self._usual(names, {item_id, product_id, *pictures}))

    def _pictures_of(self, names: tuple[str, ...], has: set[str]) -> tuple[str, ...]:
        if self._pictures:
            mapped = tuple(n for n in self._pictures if n in has)
            return (*mapped, *(n for n in _further(names) if n not in mapped)) if mapped else ()
        self._has_pictures = self._has_pictures or any(known.is_picture(n) for n in names)
        main = next((n for n in known.PICTURES if n in has), "")
        more = _further(names)
        if main or more:
            return (main, *more) if main else more
        page = known.PAGE_OR_PICTURE
        return (page,) if page in has and not self._has_pictures else ()

    def _usual(self, names: tuple[str, ...], used: set[str]) -> tuple[tuple[str, str, FieldType | None], ...]:
        attributes: list[tuple[str, str, FieldType | None]] = []
        room = MAX_ATTRIBUTES
        for name in names:
            if name in used or name in known.NOT_USUAL or known.is_picture(name) or not name:
                continue
            target, kind = attribute_name(name), _type_of(name)
            room -= 2 if kind is FieldType.PRICE else 1  # its currency is an attribute too
            if room < 0:
                break
            if target:
                attributes.append((target, name, kind))
        return tuple(attributes)


def _type_of(name: str) -> FieldType | None:
    """The type by name, never by values, so that it cannot change between runs."""
    if name in known.PRICES:
        return FieldType.PRICE
    if name in known.TAGS or name.endswith("[]"):
        return FieldType.LIST
    return FieldType.TEXT if known.is_identifier(name) else None


def _further(names: tuple[str, ...]) -> tuple[str, ...]:
    numbered = sorted((n for n in names if known.INDEXED_PICTURE.fullmatch(n)), key=_number)
    return (*(n for n in names if n in known.MORE_PICTURES), *numbered)


def _number(name: str) -> int:
    return int(name[len("image[") : name.index("]")])
