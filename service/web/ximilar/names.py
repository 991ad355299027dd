"""Names of fields: those of Ximilar's records in the names of attributes, and back to the names that were asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from afterimage.v1.types_pb2 import AttributeValue
from service.errors import Reason, ServiceError

ID, PRODUCT_ID, URL, EVERYTHING = "_id", "product_id", "_url", "*"
# Fields that are no metadata. `_file` is a path on the caller's machine: it is dropped unread.
RESERVED = frozenset({
    ID, URL, "_base64", "_file", "_text_data", "_img_data", "_color_space", "_status", "noresize",
})  # fmt: skip
_OTHER, _MOST_LETTERS, _MOST_NAMES = re.compile(r"[^a-z0-9_]"), 64, 256
_TAKEN = frozenset({"record_id", "product_id"})  # fields of every record


def folded(name: str) -> str:
    """The name of the attribute that holds a field: `meta-category-x` is `meta_category_x`."""
    found = _OTHER.sub("_", name.lower())
    if not found or not found[0].isalpha() or found in _TAKEN:
        found = f"x_{found}"
    return found[:_MOST_LETTERS]


@dataclass(frozen=True)
class Shown:
    """The fields of records that a response has. names: as they were asked for; `_id` always comes."""

    names: tuple[str, ...] = ()
    everything: bool = False

    @property
    def links(self) -> bool:
        """Whether links to pictures are asked for."""
        return URL in self.names

    @property
    def only_ids(self) -> bool:
        """Whether nothing else is asked for."""
        return not self.everything and not self.names

    def attributes(self) -> list[str]:
        """As the field `fields` of a search."""
        if self.everything:
            return []
        return sorted({folded(n) for n in self.names if n not in RESERVED and n != PRODUCT_ID}) or ["-"]

    def record(self, record: Any) -> dict[str, Any]:
        """A record or a hit as an object. `_url` is not among its fields."""
        found: dict[str, Any] = {ID: record.record_id}
        if self.everything:
            found.update({name: plain(value) for name, value in sorted(record.attributes.items())})
        if record.product_id and (self.everything or PRODUCT_ID in self.names):
            found[PRODUCT_ID] = record.product_id
        for name in self.names:
            if name in RESERVED or name == PRODUCT_ID:
                continue
            attribute = folded(name)
            if attribute in record.attributes:
                found[name] = plain(record.attributes[attribute])
        return found

    def sent(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The same fields of a record of the request itself, which keeps its own spelling."""
        shown = record.keys() - {"_base64", "_file", "_img_data"} if self.everything else {ID, *self.names}
        return {name: value for name, value in record.items() if name in shown and name not in _NEVER}


_NEVER = frozenset({"_base64", "_file", "_img_data"})


def shown_of(body: Mapping[str, Any], default: Iterable[str] = ()) -> Shown:
    """Reads `fields_to_return`. Raises ServiceError (ARGUMENT_INVALID)."""
    given = body.get("fields_to_return")
    if given is None:
        given = list(default)
    if type(given) is not list or len(given) > _MOST_NAMES or any(type(name) is not str for name in given):
        message = f"fields_to_return must be a list of at most {_MOST_NAMES} names"
        raise ServiceError(Reason.ARGUMENT_INVALID, message, field="fields_to_return")
    return Shown(tuple(n for n in given if n not in (EVERYTHING, ID)), EVERYTHING in given)


def plain(value: AttributeValue) -> Any:
    """The value of an attribute as JSON has it. Whole numbers have no fraction."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return list(value.list_value.values)
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= 2**53 else number
    return getattr(value, kind) if kind else None
