"""URLs that callers give: parsed strictly, so that what was checked is what is fetched."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

from yarl import URL

from service.errors import Reason, ServiceError
from service.intake.addresses import Address

MAX_URL_LENGTH = 2000
_PUBLIC_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_NUMERIC_LABEL = re.compile(r"\d+|0x[0-9a-f]*")
_HOST_PATTERN = re.compile(r"(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


@dataclass(frozen=True)
class Link:
    """A checked URL. `address` is set where the host is one. The representation shows no path: it may hold a secret."""

    url: URL
    host: str
    address: Address | None

    def __repr__(self) -> str:
        return f"Link({self.url.scheme}://{self.host}:{self.url.port})"

    @property
    def on_public_terms(self) -> bool:
        """Whether it is https on port 443, or http on port 80."""
        return self.url.port == _PUBLIC_PORTS[self.url.scheme]


def parse_link(text: str) -> Link:
    """A link from what a caller or a redirect gave. Raises ServiceError (URL_INVALID)."""
    if not text or len(text) > MAX_URL_LENGTH:
        raise _invalid(f"a URL has 1 to {MAX_URL_LENGTH} characters")
    if any(ord(c) <= 32 or ord(c) == 127 or c == "\\" for c in text):
        raise _invalid("the URL holds a blank, a control character or a backslash")
    try:
        url = URL(text).with_fragment(None)
        host, port = (url.host or "").lower(), url.port
    except (ValueError, UnicodeError):
        raise _invalid("the URL cannot be parsed") from None
    if url.scheme not in _PUBLIC_PORTS:
        raise _invalid("the URL must begin with https:// or http://")
    if url.user is not None or url.password is not None or "@" in url.raw_authority:
        raise _invalid("the URL must not hold a user or a password")
    if not host or not port:
        raise _invalid("the URL has no host, or a port that is none")
    return _link(url, host)


def host_allowed(host: str, patterns: Collection[str] | None) -> bool:
    """Whether a list of hosts covers this one; `*.example.com` covers what lies below. None covers all."""
    if patterns is None:
        return True
    name = host.rstrip(".")
    return any(name == p or (p.startswith("*.") and name.endswith(p[1:])) for p in patterns)


def check_host_pattern(pattern: str) -> str:
    """A pattern for `host_allowed`, in lower case. Raises ValueError."""
    lower = pattern.lower().rstrip(".")
    if not _HOST_PATTERN.fullmatch(lower):
        raise ValueError(f"{pattern[:80]!r} is no host name; give shop.example or *.shop.example")
    return lower


def _link(url: URL, host: str) -> Link:
    try:
        return Link(url, host, ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        ascii_host = (url.raw_host or "").lower()
    except (ValueError, UnicodeError):
        raise _invalid("the host name is not valid") from None
    labels = ascii_host.rstrip(".").split(".")
    if not _HOST_NAME.fullmatch(ascii_host) or len(ascii_host) > 253 or _NUMERIC_LABEL.fullmatch(labels[-1]):
        raise _invalid("the host is neither a name nor an address in its usual form")
    return Link(url, ascii_host, None)


def _invalid(message: str) -> ServiceError:
    return ServiceError(Reason.URL_INVALID, message, field="url")
