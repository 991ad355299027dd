"""The base class of XML readers: configures expat, and rejects dangerous documents."""

from __future__ import annotations

import re
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from service.sync.feeds.model import FeedError
from service.sync.feeds.xml.entities import declare_entities, without_standalone
from service.sync.feeds.xml.names import XmlNames
from service.sync.feeds.xml.repairs import XmlRepairs

MAX_DEPTH = 32
_JUNK_AFTER_END = expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]
_LONGEST_END = 1000  # characters of the tag that ends an item
_MAX_TAG = 1 << 20  # characters of a tag or comment, which expat holds in memory as a whole
_MAX_NAMES = 50_000  # expat remembers every name
_NOT_ALLOWED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # illegal in XML, but shops send them


class XmlDocument:
    """Parses one document in blocks. A subclass that can skip a damaged element overrides `gives_up`."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self._repairs = XmlRepairs()
        self._begun = self._ended = False
        self._skipped_to: re.Pattern[str] | None = None
        self._held = ""
        self._damage = FeedError("FEED_DAMAGED", "")
        self._lines = 0  # before the parser's first one
        self.opened: list[tuple[str, dict[str, str]]] = []  # open tags around elements that may be skipped
        self._new_parser()

    @property
    def line(self) -> int:
        """The current line, from 1."""
        return self._lines + self.parser.CurrentLineNumber

    def parse(self, text: str, *, last: bool = False) -> None:
        """Parses the next block. Raises FeedError."""
        text = self._repairs.repaired(_NOT_ALLOWED.sub(" ", text), last=last)
        if not self._begun and text:
            self._begun, text = True, without_standalone(text)
        while text and not self._ended:
            text = self._skip(text) if self._skipped_to else self._read(text)
        if self._ended and "<" in text:
            raise FeedError("FEED_DAMAGED", "another document follows the end of the feed")
        if last and not self._ended:
            self._end()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Called at the start of an element."""
        if attributes:
            self.names.enter(len(self.path) + 1, attributes)
        self.path.append((self.names.known.get(tag) or self.names.resolve(tag))[1])
        if len(self.path) > MAX_DEPTH:
            raise FeedError("FEED_DAMAGED", f"line {self.line}: elements are nested too deeply")

    def finish(self, tag: str) -> None:
        """Called at the end of an element."""
        if self.names.scope == len(self.path):
            self.names.leave(len(self.path))
        self.path.pop()

    def gives_up(self, message: str) -> str:
        """The tag of the damaged element, after which parsing continues; empty if that is not possible."""
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
        """Parses a text. Returns the rest if that failed."""
        self._fed += _size(text)
        try:
            self.parser.Parse(text, False)
        except expat.ExpatError as error:
            return self._failed(error, text)
        except UnicodeEncodeError:
            raise FeedError("FEED_DAMAGED", "the feed contains incomplete characters") from None
        self._lines_fed += text.count("\n")
        self._recent = (self._recent + text[-_LONGEST_END:])[-_LONGEST_END:]
        if len(self._seen) > _MAX_NAMES:
            raise FeedError("FEED_DAMAGED", f"the feed has more than {_MAX_NAMES} different names of elements")
        if self._fed - self.parser.CurrentByteIndex > _MAX_TAG:
            raise FeedError("FEED_DAMAGED", f"line {self.line}: a tag or comment has more than {_MAX_TAG} characters")
        return ""

    def _failed(self, error: expat.ExpatError, text: str) -> str:
        """Returns the rest of a text after a failure of the parser. Raises FeedError."""
        message = f"line {self._lines + error.lineno}: {expat.ErrorString(error.code)}"
        if error.code == _JUNK_AFTER_END and "<" not in text[self._place(text) :]:
            self._ended = True  # trailing text such as `done in 0.3 s`
            return ""
        self._damage = FeedError("FEED_DAMAGED", f"{message}; an XML validator shows what to change")
        tag = self.gives_up(message)
        if not tag:
            raise self._damage from None
        self._skipped_to = re.compile(rf"</{re.escape(tag)}\s*>")
        begun, text = self._recent, self._recent + text  # the damaged tag may have begun in an earlier block
        at = self._place(text)
        if text[at - 2 : at] == "</":  # for a mismatched end tag, expat reports the position of the name
            at -= 2
        self._lines += self._lines_fed - begun.count("\n") + text.count("\n", 0, at)
        return text[at:]

    def _place(self, text: str) -> int:
        """The position in `text`, which ends with what was parsed last, at which the parser failed."""
        at = max(0, self.parser.ErrorByteIndex - self._fed + _size(text))
        return at if text.isascii() else len(text.encode("utf-8", "replace")[:at].decode("utf-8", "ignore"))

    def _skip(self, text: str) -> str:
        """Returns the rest of a text after the skipped element, for a new parser."""
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
        """Checks the end of the document. Raises FeedError."""
        if self._skipped_to:
            raise self._damage  # inside an item without an end tag
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
