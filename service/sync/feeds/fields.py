"""Converts the fields of a row to an item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from index import MAX_ATTRIBUTES, MAX_ID_BYTES, AttributeValue, InvalidInput, check_id
from service.intake.download.urls import MAX_URL_LENGTH
from service.sync.feeds.model import MAX_FIELDS, Column, FieldMapping, FieldType, Item, Problem, Row
from service.sync.feeds.values.attributes import (
    SURELY_SHORT,
    as_text,
    attribute_name,
    attribute_value,
    own_value,
    price_value,
)
from service.sync.feeds.values.layout import Layout, Shape
from service.sync.feeds.values.links import absolute, is_plain_link, links_in
from service.sync.feeds.values.names import is_identifier
from service.sync.feeds.values.prices import NotANumber, parse_price

MAX_PICTURES = 25
_DELETED = frozenset({"true", "1", "yes", "y"})
_UNREADABLE = "\ufffd"  # replaces bytes that are invalid in the feed's encoding
_SHOWN = 40  # characters of a value in a note
_TYPE_NAMES = {
    FieldType.NUMBER: "a number", FieldType.BOOLEAN: "yes or no", FieldType.LIST: "a list", FieldType.TEXT: "a text",
    FieldType.PRICE: "a price",
}  # fmt: skip


class ItemReader:
    """Converts rows to items."""

    def __init__(self, mapping: FieldMapping, base_url: str = "") -> None:
        """`base_url`: the URL of the feed, to resolve relative links. If it is empty, links stay unchanged."""
        self._layout, self._base_url = Layout(mapping), base_url

    @property
    def own(self) -> frozenset[str]:
        """The fields that the mapping names."""
        return self._layout.own

    def declare(self, names: Iterable[str]) -> None:
        """Declares all fields that rows may have, if the feed lists them in advance."""
        self._layout.declare(names)

    def item(self, row: Row) -> Item | Problem:
        """The item of a row, or the reason why there is none."""
        fields = row.fields
        if len(fields) > MAX_FIELDS:
            return Problem(row.line, f"the item has more than {MAX_FIELDS} fields")
        shape = self._layout.shape(tuple(fields))
        item_id = as_text(fields[shape.item_id]) if shape.item_id else ""
        try:
            product_id = (as_text(fields[shape.product_id]) if shape.product_id else "") or item_id
            if not (_surely_id(item_id) and (product_id is item_id or _surely_id(product_id))):
                _check_ids(item_id, product_id)
            deleted = "deleted" in fields and as_text(fields["deleted"]).lower() in _DELETED
            pictures, notes = ((), ()) if deleted else self._pictures_of(fields, shape.pictures)
        except InvalidInput as error:
            return Problem(row.line, str(error), item_id[:256])
        if not deleted and not pictures:
            return Problem(row.line, "the item has no picture", item_id)
        attributes, left_out = self._attributes_of(fields, shape)
        if not left_out:
            return Item(row.line, item_id, product_id, pictures, attributes, deleted, (), notes)
        notes = (*notes, *(f"{name}: {why}" for name, why in left_out))
        names = tuple(name for name, _ in left_out)
        return Item(row.line, item_id, product_id, pictures, attributes, deleted, names, notes)

    def columns(self, names: Iterable[str]) -> list[Column]:
        """How each field is interpreted, without samples. `name` is the name of the field."""
        every = tuple(names)
        shape = self._layout.shape(every)
        roles = {"deleted": Column("deleted", "deletion")}
        for target, name, kind in reversed(shape.attributes):
            roles[name] = Column(name, "attribute", target, str(kind) if kind else "as it is")
        roles |= {n: Column(n, "picture") for n in shape.pictures}
        roles |= {n: Column(n, "product id") for n in (shape.product_id,)}
        roles |= {n: Column(n, "id") for n in (shape.item_id,)}
        if not self._layout.mapped:
            roles.setdefault("attributes", Column("attributes", "attribute", "each of its fields", "as it is"))
        left_out = (Column(n, "left out", reason=self._layout.reason_left_out(n, shape)) for n in every)
        return [roles.get(column.name, column) for column in left_out]

    def _pictures_of(
        self, fields: Mapping[str, object], names: tuple[str, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Links and notes. Raises InvalidInput if the first link is invalid."""
        if len(names) == 1 and is_plain_link(link := fields[names[0]]):
            return (link,), ()
        found = links_in(fields[names[0]]) if names else []
        for name in names[1:]:
            found += links_in(fields[name])
        links: list[str] = []
        notes: list[str] = []
        for number, link in enumerate(found):
            whole = absolute(link, self._base_url)
            wrong = _wrong_with(whole)
            if not wrong:
                links.append(whole)
            elif number == 0:
                raise InvalidInput("picture", wrong)
            else:
                notes.append(f"a further picture: {wrong}")
        several = tuple(dict.fromkeys(links)) if len(links) > 1 else tuple(links)
        if len(several) > MAX_PICTURES:
            notes.append(f"{len(several) - MAX_PICTURES} pictures beyond the first {MAX_PICTURES}")
        return several[:MAX_PICTURES], tuple(notes)

    def _attributes_of(
        self, fields: Mapping[str, object], shape: Shape
    ) -> tuple[dict[str, AttributeValue], tuple[tuple[str, str], ...]]:
        values: dict[str, AttributeValue] = {}
        left_out: tuple[tuple[str, str], ...] = ()
        for name, column, kind in shape.attributes:
            given = fields[column]
            if (kind is None or kind is FieldType.TEXT) and type(given) is str and 0 < len(given) <= SURELY_SHORT:
                values[name] = given
            elif kind is FieldType.PRICE:
                try:
                    price = parse_price(given) if type(given) is str else price_value(given)
                except NotANumber as error:
                    if given not in ("", None):
                        left_out = (*left_out, (name, f"{_shown(given)} {error}"))
                    continue
                values[name] = price.amount
                if price.currency:
                    values.setdefault(f"{name}_currency", price.currency)
            elif (value := own_value(given) if kind is None else attribute_value(given, kind)) is not None:
                values[name] = value
            elif given not in ("", None, [], {}):
                what = _TYPE_NAMES[kind] if kind else "a text, number, yes or no, or list"
                left_out = (*left_out, (name, f"{_shown(given)} is not {what}"))
        given = fields.get("attributes")  # JSON may have an object of attributes
        if not self._layout.mapped and isinstance(given, Mapping):
            for written, value in given.items():
                name = attribute_name(str(written))
                own = attribute_value(value, FieldType.TEXT) if is_identifier(name) else own_value(value)
                if name and own is not None and (len(values) < MAX_ATTRIBUTES or name in values):
                    values[name] = own
        return values, left_out


def _check_ids(item_id: str, product_id: str) -> None:
    """Raises InvalidInput if an id is invalid."""
    check_id("id", item_id)
    if product_id is not item_id:
        check_id("product id", product_id)
    if _UNREADABLE in item_id or _UNREADABLE in product_id:
        raise InvalidInput("id", "the id contains bytes that are invalid in the feed's encoding")


def _surely_id(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_BYTES and text.isascii() and text.isprintable()


def _wrong_with(link: str) -> str:
    if len(link) > MAX_URL_LENGTH:
        return f"its URL is longer than {MAX_URL_LENGTH} characters"
    return "its URL contains bytes that are invalid in the feed's encoding" if _UNREADABLE in link else ""


def _shown(given: object) -> str:
    if isinstance(given, Mapping) or (isinstance(given, list) and any(isinstance(g, Mapping | list) for g in given)):
        return "an object" if isinstance(given, Mapping) else "a list of objects"
    text = as_text(given)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
