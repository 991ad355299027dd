"""Repairs frequent errors in the XML of shops before it is parsed.

- An `&` that starts no reference (`?a=1&b=2`), an unknown named character, a `<` that starts no tag (`size < 40`) and a
  stray `]]>` are treated as text.
- References to characters that XML forbids get their meaning in HTML.
- A second XML declaration is ignored.

CDATA sections, comments and processing instructions are not changed.
"""

from __future__ import annotations

import html.entities
import re

_CDATA, _END_OF_CDATA = "<![CDATA[", "]]>"
_ENDS = {_CDATA: _END_OF_CDATA, "<!--": "-->", "<?": "?>"}
_SECTION = re.compile(r"<!\[CDATA\[|<!--|<\?")
_LONGEST_REFERENCE = 40
# The possible beginning of a reference, a surrogate pair, a section or its end.
_UNFINISHED = re.compile(
    r"(?:&#(?:55[2-9]\d\d|56[0-2]\d\d|563[01]\d|[xX][dD][89aAbB][0-9A-Fa-f]{2});(?:&[^;]{0,9})?|&[^;]{0,39}|<(?:\?|!(?:--?|\[[CDAT]{0,5}\[?)?)?|\]{1,2}|--?|\?)\Z"
)
_REFERENCE = re.compile(
    r"&(?!(?:amp|lt|gt|quot|apos|nbsp);)"
    r"(?:#(\d{5}|[xX][0-9A-Fa-f]{4});&#(\d{5}|[xX][0-9A-Fa-f]{4});|(#[xX]?[0-9A-Fa-f]{1,10}|[A-Za-z][A-Za-z0-9]*);)?"
)
_NO_TAG = re.compile(r"<(?![A-Za-z_:/!?\x80-\U0010ffff])")
_HIGH, _LOW, _LAST = range(0xD800, 0xDC00), range(0xDC00, 0xE000), 0x10FFFF
_UNKNOWN = "\ufffd"


class XmlRepairs:
    """Repairs one document, block by block."""

    def __init__(self) -> None:
        self._held = ""
        self._begun = False
        self._end = ""  # what ends the section that is open

    def repaired(self, text: str, *, last: bool = False) -> str:
        """Repairs the next block. An unfinished end is held back for the next one."""
        text, self._held = self._held + text, ""
        if not last and (open_end := _UNFINISHED.search(text, max(0, len(text) - _LONGEST_REFERENCE))):
            text, self._held = text[: open_end.start()], text[open_end.start() :]
        return text if self._is_right(text) else self._by_sections(text)

    def _is_right(self, text: str) -> bool:
        """Whether nothing needs repair. This check is ten times as fast as repairing."""
        if self._end not in ("", _END_OF_CDATA) or "<!--" in text or "<?" in text:
            return False
        first, *sections = (_CDATA + text if self._end else text).split(_CDATA)
        outside, end = [first], self._end
        for section in sections:
            _, end, rest = section.partition(_END_OF_CDATA)
            outside.append(rest)
        plain = "\n".join(outside)
        self._begun = self._begun or bool(text)
        if _END_OF_CDATA in plain or _REFERENCE.search(plain) or _NO_TAG.search(plain):
            return False
        if sections:
            self._end = "" if end else _END_OF_CDATA
        return True

    def _by_sections(self, text: str) -> str:
        parts: list[str] = []
        at = 0
        while at < len(text):
            if self._end:
                end = text.find(self._end, at)
                end, self._end = (end + len(self._end), "") if end >= 0 else (len(text), self._end)
                parts.append(text[at:end])
            else:
                section = _SECTION.search(text, at)
                end = section.end() if section else len(text)
                parts.append(_repaired(text[at : section.start() if section else end]))
                if section:
                    again = section[0] == "<?" and text.startswith("xml", end) and (self._begun or section.start() > 0)
                    parts.append("<?again-" if again else section[0])
                self._end = _ENDS[section[0]] if section else ""
            at = end
        self._begun = self._begun or bool(text)
        return "".join(parts)


def _repaired(text: str) -> str:
    if "&" in text:
        text = _REFERENCE.sub(_reference, text)
    if "]]>" in text:
        text = text.replace("]]>", "]]&gt;")
    return _NO_TAG.sub("&lt;", text)


def _reference(found: re.Match[str]) -> str:
    high, low, one = found.groups()
    if high:
        first, second = _number(high), _number(low)
        if first in _HIGH and second in _LOW:  # a UTF-16 surrogate pair
            return chr(0x10000 + (first - _HIGH.start << 10) + second - _LOW.start)
        return _character(first) + _character(second)
    if one is None or (one[0] != "#" and f"{one};" not in html.entities.html5):
        return f"&amp;{found[0][1:]}"
    if one[0] != "#":
        return found[0]
    number = _number(one[1:])
    return f"&amp;{found[0][1:]}" if number < 0 else _character(number)


def _number(digits: str) -> int:
    try:
        return int(digits[1:], 16) if digits[0] in "xX" else int(digits)
    except ValueError:
        return -1  # hexadecimal digits without the x


def _character(number: int) -> str:
    """A reference to the character that HTML uses for this number."""
    if 0x80 <= number <= 0x9F:  # Windows-1252 mistaken for Latin-1
        return bytes([number]).decode("cp1252", "replace")
    if number in _HIGH or number in _LOW or number > _LAST:
        return _UNKNOWN
    if number in (0xFFFE, 0xFFFF) or (number < 0x20 and number not in (9, 10, 13)):
        return " "
    return f"&#{number};"
