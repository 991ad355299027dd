"""Splits a cell into links. Only `links_in` decides where one link ends and the next begins.

Links are never decoded or encoded here. A comma, a bar or a blank separates two links only if another link begins after
it, and not if it is one URL that contains another (`.../fetch/w_400,h_300,https://...`).
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Mapping
from typing import TypeGuard
from urllib.parse import urljoin

import orjson

MAX_CELL = 1 << 16  # characters of a cell that are scanned
_SURELY_SHORT = 1000  # characters
_MAX_DEPTH = 6  # of nested lists and objects
_BEGINS = r"(?:https?:)?//[^\s/]"
# Separators of links: a comma, semicolon or bar before a link, or a line break.
_BETWEEN = re.compile(
    rf"(?<!\s)(?:\s*+[,;|]\s*+(?={_BEGINS})|\s*+[|]\s*+(?=/)|\s++(?=https?://|//[\w-]+\.)|[^\S\r\n]*+[\r\n]\s*+)",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"https?://[!#-&(-+./:=?@\w~%-]+", re.ASCII)
# An HTML image, in a cell that was copied from a web page.
_SHOWN = re.compile(r"<img\b[^>]*?\ssrc\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_LIST_OF_FILES = re.compile(
    r"https?://[^\s,;|\[\]{}'\"]+\.(?:jpe?g|png|webp)(?:,https?://[^\s,;|\[\]{}'\"]+\.(?:jpe?g|png|webp))*"
)
_ONE = re.compile(r"[^,;|\s\[\]{}'\"]+")
_ABSOLUTE = re.compile(rf"\s*{_BEGINS}", re.IGNORECASE)
_FILES = re.compile(r"\s*[,;|]\s*")
_FILE = re.compile(r"[^\s].*\.[A-Za-z]{3,5}")
# Instructions to an image service in the last segment of a path: `w_400,h_300`.
_OPTION = r"[a-z]{1,12}[_=:-][\w.:%()-]+"
_INSTRUCTIONS = re.compile(
    rf"/(?:{_OPTION}(?:,{_OPTION})+|(?:fetch|proxy|resize|remote|cdn-cgi/image)/(?:{_OPTION}(?:,{_OPTION})*)?)$",
    re.IGNORECASE,
)
_HOST = re.compile(r"(?:https?:)?//([^/?#\s]+)", re.IGNORECASE)
_LINK_FIELDS = (
    "url",
    "src",
    "image_link",
    "image_url",
    "href",
    "link",
    "image",
    "original",
    "large",
    "contentUrl",
    "url_standard",
    "url_fullxfull",
    "node",
    "nodes",
    "edges",
)


def links_in(value: object, depth: int = 0) -> list[str]:
    """The links in a field, in order: one or several in a text, a list, objects with a link (`url`, `src`), or JSON
    text."""
    if isinstance(value, str):
        return _links_in_text(value[:MAX_CELL], depth)
    if depth >= _MAX_DEPTH:
        return []
    if isinstance(value, Mapping):
        return next((links_in(value[n], depth + 1) for n in _LINK_FIELDS if value.get(n)), [])
    if isinstance(value, list):
        return [link for part in value for link in links_in(part, depth + 1)]
    return []


def is_plain_link(value: object) -> TypeGuard[str]:
    """Whether a value is certainly a single absolute link of moderate length."""
    return isinstance(value, str) and len(value) <= _SURELY_SHORT and _PLAIN.fullmatch(value) is not None


def absolute(link: str, base_url: str) -> str:
    """Resolves a link against the URL of the feed; unchanged if that is unknown. `//host/...` then becomes https."""
    if base_url.startswith(("http://", "https://")) and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", link):
        return urljoin(base_url, link)
    return f"https:{link}" if link.startswith("//") else link


def _links_in_text(text: str, depth: int) -> list[str]:
    if _ONE.fullmatch(text):
        return [text]
    if len(text) <= _SURELY_SHORT and _LIST_OF_FILES.fullmatch(text):
        return text.split(",")
    text = text.strip()
    if text[:1] in ("[", "{") and depth < _MAX_DEPTH:
        structured = _structured(text)
        if structured is not None:
            return links_in(structured, depth + 1)
    if "<" in text and (shown := [html.unescape(found[1]) for found in _SHOWN.finditer(text)]):
        return shown
    if text[:1] in ('"', "'", "<") and len(text) > 2 and text[-1] == {"<": ">"}.get(text[0], text[0]):
        text = text[1:-1].strip()
    if not _ABSOLUTE.match(text):
        return _file_names(text)
    links: list[str] = []
    start = 0
    for between in _BETWEEN.finditer(text):
        before = text[start : between.start()]
        if between[0] != "," or not _contains_next(before, text, between.end()):
            links.append(before)
            start = between.end()
    links.append(text[start:])
    return [cleaned for link in links if (cleaned := link.strip().rstrip(",;|"))]


def _contains_next(before: str, text: str, end: int) -> bool:
    """Whether the text before is an instruction for the link after it, so that both are one link."""
    if not _INSTRUCTIONS.search(before):
        return False
    outer, inner = _HOST.match(before), _HOST.match(text, end)
    return outer is not None and inner is not None and outer[1].lower() != inner[1].lower()


def _file_names(text: str) -> list[str]:
    """Links without a scheme. Commas separate them only if each part looks like a file name."""
    parts = [p for p in _FILES.split(text) if p]
    if len(parts) > 1 and all(_FILE.fullmatch(p) for p in parts):
        return parts
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line]


def _structured(text: str) -> object:
    """JSON, or a list as Python prints it; None if it is neither."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        found = ast.literal_eval(text) if text.startswith(("['", "[{'", "{'")) else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return found if isinstance(found, list | dict) else None
