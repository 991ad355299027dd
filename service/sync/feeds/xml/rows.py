"""XML feeds, one item at a time: Google Merchant's RSS 2.0 and Atom, and documents with other element names.

expat is used directly. Declarations inside a feed are rejected, and external document types are never loaded. HTML's
entities are the only ones, and they cannot expand. Only the current item is in memory. Python decodes the text, because
expat knows four encodings. expat does not resolve namespaces, so that an undeclared prefix does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from service.sync.feeds.model import FeedError, Problem, Row
from service.sync.feeds.values.names import FieldNames, field_name, is_picture, looks_like_an_item
from service.sync.feeds.xml.documents import MAX_DEPTH, XmlDocument
from service.sync.feeds.xml.items import CURRENCY_NAMES, XmlItem
from service.sync.feeds.xml.names import Space

_ITEMS = frozenset({"item", "entry", "product", "offer"})
_ROOTS = frozenset({"rss", "feed", "rdf", "channel", "products", "catalog", "catalogue", "offers", "items"})
_PAGE = "a web page, not a feed"
_SITEMAP = "a sitemap, which has no items; use the shop's product feed (RSS, Atom, CSV or JSON)"
_NOT_FEEDS = {
    **dict.fromkeys(("html", "head", "body", "title", "br", "b", "div", "p", "h1", "script", "style", "meta"), _PAGE),
    **dict.fromkeys(("urlset", "sitemapindex"), _SITEMAP),
    **dict.fromkeys(("error", "errors", "fault", "exception", "problem"), "an error message, not a feed"),
    "svg": "a drawing, not a feed",
}  # fmt: skip
_HEAD = 1 << 18  # characters that are searched for items with unusual names
_MAX_ELEMENTS = 1000
_MAX_GIVEN_UP = 1000  # damaged items; each needs a new parser
_BLOCKS = frozenset({"br", "p", "div", "li", "ul", "ol"})
_MARKUP = _BLOCKS | {"b", "i", "u", "em", "strong", "span", "font", "small", "sub", "sup", "big"}
_MEDIA = frozenset({"enclosure", "content", "thumbnail"})
_LINK_ATTRIBUTES = ("url", "src", "href")


def xml_rows(blocks: Iterator[str], names: FieldNames, own: frozenset[str] = frozenset()) -> Iterator[Row | Problem]:
    """The items of a feed. `own`: fields that the mapping names.

    Raises FeedError; FEED_TRUNCATED if the document is incomplete.
    """
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


class _Reader(XmlDocument):
    def __init__(self, names: FieldNames, items: frozenset[tuple[int, str]]) -> None:
        """`items`: depths and names of the item elements; empty for the usual ones."""
        super().__init__()
        self._fields, self._items = names, items
        self._item: XmlItem | None = None
        self._tag = ""
        self._given_up = 0
        self._depth = 0
        self._rows: list[Row | Problem] = []

    def feed(self, block: str) -> list[Row | Problem]:
        """The items that end in this block."""
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
        if depth > MAX_DEPTH:
            raise FeedError("FEED_DAMAGED", f"line {self.line}: elements are nested too deeply")
        if item is not None:
            if not self._is_markup(name, depth):
                item.begin()
            if attributes:
                self._attributes(item, path[self._depth :], attributes)
            return
        if depth == 1 and name not in _ROOTS and not self._items:
            what = _NOT_FEEDS.get(name) or f"a document of <{name[:40]}>, not a feed in RSS or Atom"
            raise FeedError("FEED_NOT_RECOGNISED", f"this is {what}")
        if (depth, name) in self._items if self._items else name in _ITEMS:
            item = self._item = XmlItem(self.line)
            self._tag = tag
            self._depth, self.parser.CharacterDataHandler = depth, item.take
            for attribute, value in attributes.items():  # <offer id="1" group_id="7">
                if ":" not in attribute and attribute != "xmlns":
                    item.add(Space.OTHER, attribute.lower(), value.strip())
        else:
            self.opened.append((tag, attributes))

    def _attributes(self, item: XmlItem, path: list[str], attributes: Mapping[str, str]) -> None:
        """Adds attributes. `path`: from the item's direct child to the element with the attributes."""
        name = path[-1]
        if name == "link" and "href" in attributes:
            rel = attributes.get("rel", "alternate")
            if rel == "alternate":
                item.add(Space.PLAIN, "link", attributes["href"])
            elif rel == "enclosure" and attributes.get("type", "").startswith("image"):
                item.add(Space.OTHER, "media_image", attributes["href"])
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
            if attribute.lower() in CURRENCY_NAMES:
                item.currency = value
                if len(path) == 1:
                    item.container_currency = value

    def finish(self, tag: str) -> None:
        depth, item = len(self.path), self._item
        if item is not None:
            if depth == self._depth:
                self._rows.append(item.row(self._fields))
                self._item = self.parser.CharacterDataHandler = None
            elif self._is_markup(self.path[-1], depth):
                if self.path[-1] in _BLOCKS:
                    item.take(" ")
            elif depth <= self._depth + 3:
                space, name = self.names.known.get(tag) or self.names.resolve(tag)
                item.finish(space, name, self.path[self._depth] if depth > self._depth + 1 else "")
        else:
            self.opened.pop()
        if self.names.scope == depth:
            self.names.leave(depth)
        self.path.pop()

    def gives_up(self, message: str) -> str:
        """Gives up the current item, so that it fails alone. Returns the name of its tag, or "" outside of an item."""
        item, self._item = self._item, None
        self._given_up += 1
        if item is None or self._given_up > _MAX_GIVEN_UP:
            return ""
        self._rows.append(item.problem(message))
        return self._tag

    def _is_markup(self, name: str, depth: int) -> bool:
        """Whether an element is HTML inside the text of a field (`<title>Mug <b>blue</b></title>`)."""
        return name in _MARKUP and depth > self._depth + 1 and not is_picture(field_name(self.path[self._depth]))


class _Shapes(XmlDocument):
    """Collects the fields of each element at the beginning of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[tuple[int, str], set[str]] = {}
        self.root = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        super().start(tag, attributes)
        self.root = self.root or self.path[0]
        if len(self.fields) < _MAX_ELEMENTS:
            names = FieldNames()
            if len(self.path) > 2:
                self.fields.setdefault((len(self.path) - 1, self.path[-2]), set()).add(names.field(self.path[-1]))
            own = {names.field(a) for a in attributes if ":" not in a and a != "xmlns"}
            if own and len(self.path) > 1:
                self.fields.setdefault((len(self.path), self.path[-1]), set()).update(own)


def _item_elements(head: str, own: frozenset[str]) -> frozenset[tuple[int, str]]:
    """The outermost elements that look like items by their fields; empty if the usual names apply."""
    shapes = _Shapes()
    try:
        shapes.parse(head)
    except FeedError:
        pass  # raised again when the items are read
    if shapes.root in _ROOTS and any(name in ("item", "entry") for _, name in shapes.fields):
        return frozenset()
    found = [
        place for place, fields in shapes.fields.items()
        if looks_like_an_item(fields, own) and any(is_picture(f) or f in own for f in fields)
    ]  # fmt: skip
    return frozenset([min(found)]) if found else frozenset()
