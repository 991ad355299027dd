"""Feeds in XML: Google Merchant's RSS 2.0 and Atom, and documents with products of any other name, one item at a time.

expat is used directly: declarations within a feed are refused, and a document type elsewhere is never loaded, so that
there are no entities but HTML's, which do not grow. Nothing but the item that is being read is kept. Python decodes the
text, since expat knows four encodings; expat resolves no namespaces either, so that a prefix that nobody declared
damages no feed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.parsers import expat

from service.sync.feeds.model import MAX_FIELD_CHARS, MAX_FIELDS, MAX_ITEM_CHARS, FeedError, Problem, Row
from service.sync.feeds.values.names import FieldNames, field_name, is_picture, looks_like_an_item
from service.sync.feeds.xml_entities import declare_entities, standing_not_alone
from service.sync.feeds.xml_names import Space, XmlNames

_ITEMS = frozenset({"item", "entry", "product", "offer"})
_ROOTS = frozenset({"rss", "feed", "rdf", "channel", "products", "catalog", "catalogue", "offers", "items"})
_PAGE = "a web page, not a feed"
_SITEMAP = "a sitemap, which has no items; use the shop's product feed (RSS, Atom, CSV or JSON)"
_KNOWN_TO_BE_NONE = {
    **dict.fromkeys(("html", "head", "body", "title", "br", "b", "div", "p", "h1", "script", "style", "meta"), _PAGE),
    **dict.fromkeys(("urlset", "sitemapindex"), _SITEMAP),
    "error": "a message of an error, not a feed", "svg": "a drawing, not a feed",
}  # fmt: skip
_HEAD = 1 << 18  # characters in which items of other names are searched for
_MAX_DEPTH = 32
_MAX_TAG = 1 << 20  # characters of a tag, a comment or the like, which expat has in memory as a whole
_MOST_ELEMENTS = 1000
_MOST_NAMES = 50_000  # expat remembers each
_NOT_ALLOWED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # in no XML, though shops send them
_MEDIA = frozenset({"enclosure", "content", "thumbnail"})
_LINK_ATTRIBUTES = ("url", "src", "href")
_CURRENCIES = ("currency", "currencyid", "currencycode")


def xml_rows(blocks: Iterator[str], names: FieldNames, own: frozenset[str] = frozenset()) -> Iterator[Row | Problem]:
    """The items of a feed. `own`: fields that a mapping names. Raises FeedError; FEED_TRUNCATED where the document does
    not end."""
    head: list[str] = []
    while sum(map(len, head)) < _HEAD and (block := next(blocks, "")):
        head.append(block)
    reader = _Reader(names, _item_elements("".join(head), own))
    for block in head:
        yield from reader.feed(block)
    head.clear()
    for block in blocks:
        yield from reader.feed(block)
    yield from reader.end()


class _Document:
    """What all readers of a document refuse."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        parser = expat.ParserCreate(intern=self._seen)
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self.start, self.finish
        parser.StartDoctypeDeclHandler = self._doctype
        declare_entities(parser)
        self.parser, self.names = parser, XmlNames()
        self.path: list[str] = []
        self._fed = 0

    def parse(self, text: str, *, last: bool = False) -> None:
        """Raises FeedError."""
        text = _NOT_ALLOWED.sub(" ", text if self._fed else standing_not_alone(text))
        self._fed += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        try:
            self.parser.Parse(text, last)
        except expat.ExpatError as error:
            if last:
                message = f"the feed ends within the document, at line {error.lineno}"
                raise FeedError("FEED_TRUNCATED", message) from None
            message = f"line {error.lineno}: {expat.ErrorString(error.code)}"
            raise FeedError("FEED_DAMAGED", message) from None
        except UnicodeEncodeError:
            raise FeedError("FEED_DAMAGED", "the feed holds halves of characters") from None
        if len(self._seen) > _MOST_NAMES:
            raise FeedError("FEED_DAMAGED", f"the feed has more than {_MOST_NAMES} different names of elements")
        if self._fed - self.parser.CurrentByteIndex > _MAX_TAG:
            line = self.parser.CurrentLineNumber
            raise FeedError("FEED_DAMAGED", f"line {line}: a tag or comment has more than {_MAX_TAG} characters")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if attributes:
            self.names.enter(len(self.path) + 1, attributes)
        self.path.append((self.names.known.get(tag) or self.names.resolve(tag))[1])
        if len(self.path) > _MAX_DEPTH:
            raise FeedError("FEED_DAMAGED", f"line {self.parser.CurrentLineNumber}: elements are nested too deeply")

    def finish(self, tag: str) -> None:
        """An element ends."""
        if self.names.scope == len(self.path):
            self.names.leave(len(self.path))
        self.path.pop()

    def _doctype(self, name: str, _system: object, _public: object, has_own: int) -> None:
        if name.lower() == "html":
            raise FeedError("FEED_NOT_RECOGNISED", "this is a web page, not a feed")
        if has_own:
            raise FeedError("FEED_DAMAGED", "the feed declares entities of its own, or the like, which is refused")


class _Reader(_Document):
    def __init__(self, names: FieldNames, items: frozenset[tuple[int, str]]) -> None:
        """`items`: depths and names of elements that are items; empty for the usual ones."""
        super().__init__()
        self._fields, self._items = names, items
        self._item: _Item | None = None
        self._depth = 0
        self._rows: list[Row | Problem] = []

    def feed(self, block: str) -> list[Row | Problem]:
        """The items that end within this block."""
        self.parse(block)
        rows, self._rows = self._rows, []
        return rows

    def end(self) -> list[Row | Problem]:
        """The items that end with the document."""
        self.parse("", last=True)
        rows, self._rows = self._rows, []
        return rows

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        names, path = self.names, self.path
        if attributes:
            names.enter(len(path) + 1, attributes)
        _, name = names.known.get(tag) or names.resolve(tag)
        path.append(name)
        depth, item = len(path), self._item
        if depth > _MAX_DEPTH:
            raise FeedError("FEED_DAMAGED", f"line {self.parser.CurrentLineNumber}: elements are nested too deeply")
        if item is not None:
            item.begin()
            if attributes:
                self._attributes(item, path[self._depth :], attributes)
            return
        if depth == 1 and name not in _ROOTS and not self._items:
            what = _KNOWN_TO_BE_NONE.get(name) or f"a document of <{name[:40]}>, not a feed in RSS or Atom"
            raise FeedError("FEED_NOT_RECOGNISED", f"this is {what}")
        if (depth, name) in self._items if self._items else name in _ITEMS:
            item = self._item = _Item(self.parser.CurrentLineNumber)
            self._depth, self.parser.CharacterDataHandler = depth, item.take
            self.parser.SkippedEntityHandler = item.take_unknown
            for attribute, value in attributes.items():  # <offer id="1" group_id="7">
                if ":" not in attribute and attribute != "xmlns":
                    item.add(Space.OTHER, attribute.lower(), value.strip())

    def _attributes(self, item: _Item, path: list[str], attributes: Mapping[str, str]) -> None:
        """`path`: from the item's own field to the element that has the attributes."""
        name = path[-1]
        if name == "link" and "href" in attributes:
            if attributes.get("rel", "alternate") == "alternate":
                item.add(Space.PLAIN, "link", attributes["href"])
        elif name in _MEDIA and "url" in attributes:
            kind = attributes.get("type", attributes.get("medium", "image"))
            if kind.startswith("image"):
                item.add(Space.OTHER, "media_image", attributes["url"])
        elif len(path) <= 2 and is_picture(field_name(path[0])):  # <imgs><main url="..."/></imgs>
            for attribute in _LINK_ATTRIBUTES:
                if attribute in attributes:
                    item.add(Space.OTHER, path[0], attributes[attribute])
                    break
        for attribute, value in attributes.items():
            if attribute.lower() in _CURRENCIES:
                item.currency = value

    def finish(self, tag: str) -> None:
        depth, item = len(self.path), self._item
        if item is not None:
            if depth == self._depth:
                self._rows.append(item.row(self._fields))
                self._item = self.parser.CharacterDataHandler = self.parser.SkippedEntityHandler = None
            elif depth <= self._depth + 3:
                space, name = self.names.known.get(tag) or self.names.resolve(tag)
                item.finish(space, name, self.path[self._depth] if depth > self._depth + 1 else "")
        if self.names.scope == depth:
            self.names.leave(depth)
        self.path.pop()


class _Item:
    """One item while it is read."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._values: dict[str, tuple[Space, list[str]]] = {}
        self._parts: list[str] = []
        self._field_size = self._size = self._count = 0
        self.currency = ""

    def begin(self) -> None:
        """A field begins."""
        if self._parts:
            self._parts, self._field_size = [], 0
        self.currency = ""

    def take(self, text: str) -> None:
        """Text of the field."""
        size = self._field_size + len(text)
        if size > MAX_FIELD_CHARS or self._size >= MAX_ITEM_CHARS:
            room = MAX_FIELD_CHARS - self._field_size if self._size < MAX_ITEM_CHARS else 0
            text = text[:room]  # what is longer is cut
        self._parts.append(text)
        self._field_size = min(size, MAX_FIELD_CHARS)
        self._size += len(text)

    def take_unknown(self, name: str, _: bool) -> None:
        """An entity that nobody declared."""
        self.take(f"&{name};")

    def finish(self, space: Space, name: str, container: str) -> None:
        """The field ends. `container`: the item's own field that it is in; empty where it is one itself."""
        if not self._parts:
            return
        value = "".join(self._parts).strip()
        self._parts, self._field_size = [], 0
        if container:  # <images><image>...</image></images>
            name = container if is_picture(field_name(container)) or container in ("tags", "labels") else ""
        if value and self.currency and name:
            value, self.currency = f"{value} {self.currency}", ""
        if name:
            self.add(space, name, value)

    def add(self, space: Space, name: str, value: str) -> None:
        """A field with its value."""
        self._count += 1
        if not value or self._count > MAX_FIELDS:
            return
        self._size += len(name) + 64
        before = self._values.get(name)
        if before is None or space < before[0]:
            self._values[name] = (space, [value])
        elif space == before[0]:
            before[1].append(value)

    def row(self, names: FieldNames) -> Row | Problem:
        """The whole item."""
        if self._size >= MAX_ITEM_CHARS or self._count > MAX_FIELDS:
            message = f"the item has more than {MAX_FIELDS} fields or {MAX_ITEM_CHARS} characters"
            return Problem(self._line, message, self._values.get("id", (0, [""]))[1][0][:256])
        fields: dict[str, object] = {}
        for name, (_, values) in self._values.items():
            field = names.field(name)
            if field in fields:
                before = fields[field]
                values = [*(before if isinstance(before, list) else [str(before)]), *values]
            fields[field] = values if len(values) > 1 else values[0]
        return Row(self._line, fields)


class _Shapes(_Document):
    """Which elements have which fields, at the beginning of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[tuple[int, str], set[str]] = {}
        self.root = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        super().start(tag, attributes)
        self.root = self.root or self.path[0]
        if len(self.fields) < _MOST_ELEMENTS:
            names = FieldNames()
            if len(self.path) > 2:
                self.fields.setdefault((len(self.path) - 1, self.path[-2]), set()).add(names.field(self.path[-1]))
            own = {names.field(a) for a in attributes if ":" not in a and a != "xmlns"}
            if own and len(self.path) > 1:
                self.fields.setdefault((len(self.path), self.path[-1]), set()).update(own)


def _item_elements(head: str, own: frozenset[str]) -> frozenset[tuple[int, str]]:
    """The outermost elements that look like items by their fields; empty where the usual names are to be used."""
    shapes = _Shapes()
    try:
        shapes.parse(head)
    except FeedError:
        pass  # is met again when the items are read
    if shapes.root in _ROOTS and any(name in ("item", "entry") for _, name in shapes.fields):
        return frozenset()
    found = [
        place for place, fields in shapes.fields.items()
        if looks_like_an_item(fields, own) and any(is_picture(f) or f in own for f in fields)
    ]  # fmt: skip
    return frozenset([min(found)]) if found else frozenset()
