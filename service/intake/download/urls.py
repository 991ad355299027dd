"""Parses URLs from callers strictly, so that the checked URL is the fetched URL.

A valid URL is sent to its host byte by byte as given, percent-encoding included, because any change breaks signed
links. Only characters that are illegal in a URL are encoded: blanks, letters beyond ASCII, and a `%` that begins no
escape. No URL library is used: yarl and `urllib.parse` cache what they parsed for good.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import idna

from service.errors import Reason, ServiceError
from service.intake.download.addresses import Address

MAX_URL_LENGTH = 2000
_MAX_REDIRECT_LENGTH = 8000
_PUBLIC_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_NUMERIC_LABEL = re.compile(r"\d+|0x[0-9a-f]*")
_HOST_PATTERN = re.compile(r"(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_ABSOLUTE = re.compile(r"(https?)://([^/?#\\]*)([^#]*)", re.I)
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]%]*))(?::([0-9]*))?", re.I)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.I)
# RFC 3986: characters outside of this set, and a bare %, are encoded in path and query.
_ILLEGAL = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]")


@dataclass(frozen=True)
class Link:
    """A checked URL.

    - `host`: in ASCII.
    - `target`: path and query, as sent to the host.
    - `address`: set if the host is an IP address.

    The representation omits the path, which may contain a secret.
    """

    scheme: str
    host: str
    port: int
    target: bytes = field(repr=False)
    address: Address | None = None

    def __repr__(self) -> str:
        return f"Link({self.scheme}://{self.host}:{self.port})"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port, to which credentials are bound."""
        return self.scheme, self.host, self.port

    @property
    def uses_default_port(self) -> bool:
        """Whether the URL is https on port 443, or http on port 80."""
        return self.port == _PUBLIC_PORTS[self.scheme]

    @property
    def authority(self) -> str:
        """The value of the `Host` header: the host, and the port unless it is the default."""
        host = f"[{self.host}]" if self.address is not None and self.address.version == 6 else self.host
        return host if self.uses_default_port else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """The whole URL in ASCII."""
        return f"{self.scheme}://{self.authority}{self.target.decode()}"

    @property
    def path(self) -> str:
        """The path, percent-encoded."""
        return self.target.partition(b"?")[0].decode()

    @property
    def query_names(self) -> frozenset[str]:
        """The names of the query fields, percent-encoded."""
        return frozenset(pair.partition("=")[0] for pair in self._pairs())

    def with_query(self, fields: Mapping[str, str]) -> Link:
        """Returns a copy with these fields (plain text) in place of those of the same name.

        Other fields stay unchanged.
        """
        kept = [pair for pair in self._pairs() if pair.partition("=")[0] not in fields]
        query = "&".join([*kept, *(f"{name}={value}" for name, value in fields.items())])
        return replace(self, target=_encoded(f"{self.path}?{query}"))

    def join(self, reference: bytes) -> Link:
        """Resolves the target of a redirect, which may be relative and contain any bytes.

        Raises ServiceError (URL_INVALID).
        """
        text = reference.decode("utf-8", "surrogateescape").strip(" \t")
        _check_text(text, _MAX_REDIRECT_LENGTH)
        if text.startswith("//"):
            text = f"{self.scheme}:{text}"
        if _SCHEME.match(text):
            return _parsed(text)
        path, question, query = text.partition("#")[0].partition("?")
        if "\\" in path:
            raise _invalid("the URL contains a backslash")
        if not path:
            query = query if question else self.target.decode().partition("?")[2]
            path = self.path
        else:
            above = "" if path.startswith("/") else self.path.rpartition("/")[0] + "/"
            path = _without_dots(above + path)
        return replace(self, target=_encoded(f"{path}?{query}" if query or question else path))

    def _pairs(self) -> list[str]:
        return [p for p in self.target.decode().partition("?")[2].split("&") if p]


def parse_link(text: str) -> Link:
    """Parses a URL from a caller, ignoring blanks around it. Raises ServiceError (URL_INVALID)."""
    text = text.strip(" ")
    _check_text(text, MAX_URL_LENGTH)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _invalid("the URL contains invalid characters") from None
    return _parsed(text)


def host_allowed(host: str, patterns: Collection[str] | None) -> bool:
    """Whether a list of hosts covers this host. `*.example.com` covers subdomains; None covers all hosts."""
    if patterns is None:
        return True
    name = host.rstrip(".")
    return any(name == p or (p.startswith("*.") and name.endswith(p[1:])) for p in patterns)


def check_host_pattern(pattern: str) -> str:
    """Returns a pattern for `host_allowed` in lower case. Raises ValueError."""
    lower = pattern.lower().rstrip(".")
    if not _HOST_PATTERN.fullmatch(lower):
        raise ValueError(f"{pattern[:80]!r} is not a host name; give shop.example or *.shop.example")
    return lower


def _check_text(text: str, max_length: int) -> None:
    if not text or len(text) > max_length:
        raise _invalid(f"a URL has 1 to {max_length} characters")
    if _CONTROL.search(text):
        raise _invalid("the URL contains a control character")


def _parsed(text: str) -> Link:
    found = _ABSOLUTE.match(text)
    if found is None:
        raise _invalid("the URL must start with https:// or http://")
    scheme, authority, rest = found[1].lower(), found[2], found[3]
    if "@" in authority:
        raise _invalid("the URL must not contain a user or a password")
    if "\\" in rest.partition("?")[0]:
        raise _invalid("the URL contains a backslash")
    where = _AUTHORITY.fullmatch(authority)
    port = int(where[3] or _PUBLIC_PORTS[scheme]) if where and len(where[3] or "") < 8 else 0
    if where is None or not 0 < port < 65536 or not (where[1] or where[2]):
        raise _invalid("the URL has no host, or an invalid port")
    host, address = _address(where[1]) if where[1] else _host(where[2])
    return Link(scheme, host, port, _encoded(rest if rest.startswith("/") else f"/{rest}"), address)


def _host(text: str) -> tuple[str, Address | None]:
    """A host name in ASCII, or an IPv4 address in dotted decimal form. Raises ServiceError."""
    try:
        host = (text if text.isascii() else idna.encode(text, uts46=True).decode()).lower()
    except (ValueError, UnicodeError):
        raise _invalid("the host name is not valid") from None
    if host == text:
        try:
            return host, ipaddress.IPv4Address(host)
        except ValueError:
            pass
    labels = host.rstrip(".").split(".")
    if not _HOST_NAME.fullmatch(host) or len(host) > 253 or _NUMERIC_LABEL.fullmatch(labels[-1]):
        raise _invalid("the host is neither a valid name nor a valid address")
    return host, None


def _address(text: str) -> tuple[str, Address]:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise _invalid("the host is neither a valid name nor a valid address") from None
    return str(address), address


def _encoded(target: str) -> bytes:
    """Encodes characters that are illegal in path and query, and changes nothing else."""
    return _ILLEGAL.sub(lambda found: b"%%%02X" % found[0][0], target.encode("utf-8", "surrogateescape"))


def _without_dots(path: str) -> str:
    """Removes the segments `.` and `..` of a path (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)


def _invalid(message: str) -> ServiceError:
    return ServiceError(Reason.URL_INVALID, message, field="url")
