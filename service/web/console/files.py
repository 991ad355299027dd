"""The files of the console, read once at the start, with their compressed forms and checksums.

Comments and types are a third of the script. Lines that are nothing else are sent empty, so that line numbers stay, and
casts for the type checker are left out within lines.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent
_PARTS = ("page", "vendor")
_INDEX = "page/index.html"
_ASSETS, _HOSTS = b"__ASSETS__", b"__PICTURE_HOSTS__"  # in index.html: where the other files are, and a setting
# Comments on lines of their own, and casts such as `/** @type {any} */ event`. Code and numbers of lines stay.
_COMMENTS = re.compile(rb"^[ \t]*(?:/\*(?:[^*]|\*(?!/))*\*/|//.*)[ \t]*$", re.MULTILINE)
_CASTS = re.compile(rb"/\*\* @type \{(?:[^*\n]|\*(?!/))*\*/ ")
_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}  # fmt: skip


@dataclass(frozen=True)
class StaticFile:
    """One file as it is served. `compressed`: gzip of `body`."""

    body: bytes
    compressed: bytes
    media_type: str
    etag: str


@dataclass(frozen=True)
class ConsoleFiles:
    """What the console consists of.

    - `index`: the page itself.
    - `icon`: the icon that browsers ask for by themselves.
    - `version`: a checksum over all files. It is part of the URL of each, so that a browser may keep them for good.
    - `assets`: the other files by their path below the version, such as `page/main.js`.
    """

    index: StaticFile
    icon: StaticFile
    version: str
    assets: dict[str, StaticFile]


def read_files(picture_hosts: tuple[str, ...] = ()) -> ConsoleFiles:
    """Reads the console. `picture_hosts`: origins that its policy allows pictures from, which the page shows."""
    bodies = {path: _without_comments(body) if path.startswith("page/") else body for path, body in _read()}
    hashed = hashlib.sha256()
    for path, body in bodies.items():
        hashed.update(f"{path}\0{len(body)}\0".encode() + body)
    version = hashed.hexdigest()[:16]
    index = bodies.pop(_INDEX).replace(_ASSETS, f"console/{version}".encode())
    index = index.replace(_HOSTS, " ".join(picture_hosts).encode())
    assets = {path: _static(path, body) for path, body in bodies.items()}
    return ConsoleFiles(_static(_INDEX, index), assets["page/icon.svg"], version, assets)


def _read() -> Iterator[tuple[str, bytes]]:
    for part in _PARTS:
        for path in sorted((_FOLDER / part).rglob("*")):
            if path.suffix in _TYPES and path.is_file():
                yield path.relative_to(_FOLDER).as_posix(), path.read_bytes()


def _without_comments(source: bytes) -> bytes:
    return _CASTS.sub(b"", _COMMENTS.sub(lambda comment: b"\n" * comment[0].count(b"\n"), source))


def _static(path: str, body: bytes) -> StaticFile:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return StaticFile(body, gzip.compress(body, 9, mtime=0), _TYPES[Path(path).suffix], etag)
