"""A document in XML, as all readers of one take it: what expat is told, and what is refused."""

from __future__ import annotations

import re
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from service.sync.feeds.model import FeedError
from service.sync.feeds.xml.entities import declare_entities, standing_not_alone
from service.sync.feeds.xml.names import XmlNames
from service.sync.feeds.xml.repairs import XmlRepairs

MAX_DEPTH = 32
_BEHIND_THE_END = expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]
_LONGEST_END = 1000  # characters of the tag that ends an item
_MAX_TAG = 1 << 20  # characters of a tag, a comment or the like, which expat has in memory as a whole
_MOST_NAMES = 50_000  # expat remembers each
_NOT_ALLOWED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # in no XML, though shops send them


class XmlDocument:
    """Of one document, which comes in blocks. A reader that can do without a part of it says so by `gives_up`."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self._repairs = XmlRepairs()
        self._begun = self._ended = False
        self._skipped_to: re.Pattern[str] | None = None
        self._held = ""
        self._damage = FeedError("FEED_DAMAGED", "")
        self._lines = 0  # before the parser's first one
        self.opened: list[tuple[str, dict[str, str]]] = []  # tags that lead to what can be done without
        self._new_parser()

    @property
    def line(self) -> int:
        """The line that is being read, from 1."""
        return self._lines + self.parser.CurrentLineNumber

    def parse(self, text: str, *, last: bool = False) -> None:
        """Reads the next block. Raises FeedError."""
        text = self._repairs.put_right(_NOT_ALLOWED.sub(" ", text), last=last)
        if not self._begun and text:
            self._begun, text = True, standing_not_alone(text)
        while text and not self._ended:
            text = self._skip(text) if self._skipped_to else self._read(text)
        if self._ended and "<" in text:
            raise FeedError("FEED_DAMAGED", "another document follows the end of the feed")
        if last and not self._ended:
            self._end()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if attributes:
            self.names.enter(len(self.path) + 1, attributes)
        self.path.append((self.names.known.get(tag) or self.names.resolve(tag))[1])
        if len(self.path) > MAX_DEPTH:
            raise FeedError("FEED_DAMAGED", f"line {self.line}: elements are nested too deeply")

    def finish(self, tag: str) -> None:
        """An element ends."""
        if self.names.scope == len(self.path):
            self.names.leave(len(self.path))
        self.path.pop()

    def gives_up(self, message: str) -> str:
        """The tag of the element that is at fault, behind which reading goes on; empty where it cannot."""
        return ""

    def _new_parser(self) -> None:
        parser = expat.ParserCreate(intern=self._seen)
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self.start, self.finish
        parser.StartDoctypeDeclHandler = _doctype
        declare_entities(parser)
        self.parser, self.names = parser, XmlNames()
        self.path: list[str] = []
        self._fed = self._lines_fed = 0
        self._recent = ""

    def _read(self, text: str) -> str:
        """Reads a text; what is left of it where that failed."""
        self._fed += _size(text)
        try:
            self.parser.Parse(text, False)
        except expat.ExpatError as error:
            return self._failed(error, text)
        except UnicodeEncodeError:
            raise FeedError("FEED_DAMAGED", "the feed contains incomplete characters") from None
        self._lines_fed += text.count("\n")
        self._recent = (self._recent + text[-_LONGEST_END:])[-_LONGEST_END:]
        if len(self._seen) > _MOST_NAMES:
            raise FeedError("FEED_DAMAGED", f"the feed has more than {_MOST_NAMES} different names of elements")
        if self._fed - self.parser.CurrentByteIndex > _MAX_TAG:
            raise FeedError("FEED_DAMAGED", f"line {self.line}: a tag or comment has more than {_MAX_TAG} characters")
        return ""

    def _failed(self, error: expat.ExpatError, text: str) -> str:
        """What is left of a text behind the place that the parser failed at. Raises FeedError."""
        message = f"line {self._lines + error.lineno}: {expat.ErrorString(error.code)}"
        if error.code == _BEHIND_THE_END and "<" not in text[self._place(text) :]:
            self._ended = True  # such as `done in 0.3 s`
            return ""
        self._damage = FeedError("FEED_DAMAGED", f"{message}; an XML validator shows what to change")
        tag = self.gives_up(message)
        if not tag:
            raise self._damage from None
        self._skipped_to = re.compile(rf"</{re.escape(tag)}\s*>")
        begun, text = self._recent, self._recent + text  # the tag at fault may have begun in a block before
        at = self._place(text)
        if text[at - 2 : at] == "</":  # of an end that does not fit, expat gives the place of the name
            at -= 2
        self._lines += self._lines_fed - begun.count("\n") + text.count("\n", 0, at)
        return text[at:]

    def _place(self, text: str) -> int:
        """Where the parser failed in a text that ends with what it was fed last."""
        at = max(0, self.parser.ErrorByteIndex - self._fed + _size(text))
        return at if text.isascii() else len(text.encode("utf-8", "replace")[:at].decode("utf-8", "ignore"))

    def _skip(self, text: str) -> str:
        """What is left of a text behind the element that is done without; another parser takes that."""
        assert self._skipped_to is not None
        text, self._held = self._held + text, ""
        found = self._skipped_to.search(text)
        if found is None:
            self._held = text[-_LONGEST_END:]
            self._lines += text.count("\n", 0, len(text) - len(self._held))
            return ""
        self._lines += text.count("\n", 0, found.end())
        self._skipped_to = None
        within, self.opened = self.opened, []
        self._new_parser()
        self._read("".join(_tag(name, attributes) for name, attributes in within))
        return text[found.end() :]

    def _end(self) -> None:
        """Raises FeedError."""
        if self._skipped_to:
            raise self._damage  # within an item that nothing ended
        try:
            self.parser.Parse("", True)
        except expat.ExpatError as error:
            line = self._lines + error.lineno
            raise FeedError("FEED_TRUNCATED", f"the feed ends within the document, at line {line}") from None


def _doctype(name: str, _system: object, _public: object, has_own: int) -> None:
    if name.lower() == "html":
        raise FeedError("FEED_NOT_RECOGNISED", "this is a web page, not a feed")
    if has_own:
        raise FeedError("FEED_DAMAGED", "the feed declares entities or similar, which is not allowed")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _tag(name: str, attributes: dict[str, str]) -> str:
    return f"<{name}{''.join(f' {n}={quoteattr(v)}' for n, v in attributes.items())}>"
