"""Collects the fields of one XML item."""

from __future__ import annotations

from service.sync.feeds.model import MAX_FIELD_CHARS, MAX_FIELDS, MAX_ITEM_CHARS, Problem, Row
from service.sync.feeds.values.names import PRICES, FieldNames, field_name, is_picture
from service.sync.feeds.xml.names import Space

CURRENCY_NAMES = frozenset({"currency", "currencyid", "currencycode", "currency_code"})
_AMOUNTS = frozenset({"amount", "value", "price", "retail", "gross"})
_CONTAINERS_OF_TEXTS = ("tags", "labels")
# Elements beside a picture's link: <image><url>...</url><alt>...</alt></image>
_ABOUT_PICTURES = frozenset(
    {
        "alt", "title", "name", "caption", "description", "label", "text", "type", "mime", "format", "width", "height",
        "size", "id", "position", "order", "sort", "sort_order", "hash", "md5", "checksum", "updated", "date", "color",
        "colour", "lang", "language", "sku", "author", "copyright", "credit",
    }
)  # fmt: skip


class XmlItem:
    """One item while it is parsed."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._values: dict[str, tuple[Space, list[str]]] = {}
        self._parts: list[str] = []
        self._field_size = self._size = self._count = 0
        self.currency = self.container_currency = self._amount = ""

    def begin(self) -> None:
        """Starts a field."""
        if self._parts:
            self._parts, self._field_size = [], 0
        self.currency = ""

    def take(self, text: str) -> None:
        """Adds text to the field."""
        size = self._field_size + len(text)
        if size > MAX_FIELD_CHARS or self._size >= MAX_ITEM_CHARS:
            room = MAX_FIELD_CHARS - self._field_size if self._size < MAX_ITEM_CHARS else 0
            text = text[:room]  # the rest is cut
        self._parts.append(text)
        self._field_size = min(size, MAX_FIELD_CHARS)
        self._size += len(text)

    def finish(self, space: Space, name: str, container: str) -> None:
        """Ends the field. `container`: the item's direct child that contains it; empty if it is one itself."""
        if self._amount and not container and not "".join(self._parts).strip():
            self._parts = [f"{self._amount} {self.container_currency}"]
        if not container:
            self._amount = self.container_currency = ""
        if not self._parts:
            return
        value = "".join(self._parts).strip()
        self._parts, self._field_size = [], 0
        if container:
            name = self._of_container(field_name(container), container, name, value)
        if value and self.currency and name:
            value, self.currency = f"{value} {self.currency}", ""
        if name:
            self.add(space, name, value)

    def _of_container(self, field: str, container: str, name: str, value: str) -> str:
        """The field to which a value in a container belongs; empty if none."""
        if field in PRICES:  # <price><amount>5</amount><currency>EUR</currency></price>
            if name in _AMOUNTS:
                self._amount = self._amount or value
            elif name in CURRENCY_NAMES:
                self.container_currency = value
            return ""
        if is_picture(field):  # <images><image>...</image></images>
            return container if name not in _ABOUT_PICTURES and ("/" in value or "." in value) else ""
        return container if container in _CONTAINERS_OF_TEXTS else ""

    def add(self, space: Space, name: str, value: str) -> None:
        """Adds a field with its value."""
        self._count += 1
        if not value or self._count > MAX_FIELDS:
            return
        self._size += len(name) + 64
        before = self._values.get(name)
        if before is None or space < before[0]:
            self._values[name] = (space, [value])
        elif space == before[0]:
            before[1].append(value)

    def problem(self, message: str) -> Problem:
        """A Problem with the id, if that was already read."""
        return Problem(self._line, message, self._values.get("id", (0, [""]))[1][0][:256])

    def row(self, names: FieldNames) -> Row | Problem:
        """The complete item."""
        if self._size >= MAX_ITEM_CHARS or self._count > MAX_FIELDS:
            return self.problem(f"the item has more than {MAX_FIELDS} fields or {MAX_ITEM_CHARS} characters")
        fields: dict[str, object] = {}
        for name, (_, values) in self._values.items():
            field = names.field(name)
            if field in fields:
                before = fields[field]
                values = [*(before if isinstance(before, list) else [str(before)]), *values]
            fields[field] = values if len(values) > 1 else values[0]
        return Row(self._line, fields)
