"""Recognises files that are not feeds by their first bytes, to reject them with a helpful message."""

from __future__ import annotations

from collections.abc import Collection

from service.sync.feeds.model import FeedError

_AS_CSV = "save it as CSV"
_STARTS = (
    (bytes.fromhex("d0cf11e0a1b11ae1"), "an Excel workbook or another Office document", _AS_CSV),
    (b"PAR1", "a Parquet file", "`afterimage insert --records` takes it; a feed is XML, CSV or JSON"),
    (b"%PDF-", "a PDF document", "a feed is XML, CSV or JSON"),
    (b"{\\rtf", "an RTF document", _AS_CSV),
    (b"SQLite format 3\0", "an SQLite database", "export a table as CSV"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "use gzip or zip"),
    (b"Rar!", "a RAR archive", "use gzip or zip"),
    (b"BZh", "a bzip2 archive", "use gzip or zip"),
    (b"\xfd7zXZ\0", "an xz archive", "use gzip or zip"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "use gzip or zip"),
    (b"\x1f\x8b", "gzip within gzip", "compress it once"),
    (b"PK\x03\x04", "a zip archive within another archive", "compress it once"),
    (b"\xff\xd8\xff", "a JPEG picture", "a feed names pictures by their URLs"),
    (b"\x89PNG", "a PNG picture", "a feed names pictures by their URLs"),
    (b"GIF8", "a GIF picture", "a feed names pictures by their URLs"),
)  # fmt: skip
_OFFICE = (
    ("xl/", "an Excel workbook", _AS_CSV), ("word/", "a Word document", _AS_CSV),
    ("ppt/", "a PowerPoint document", _AS_CSV), ("META-INF/manifest.xml", "an OpenDocument file", _AS_CSV),
    ("Index/", "a Numbers document", "export it as CSV"),
)  # fmt: skip
_TAR_MAGIC = slice(257, 262)


def refuse_other_files(head: bytes) -> None:
    """Raises FeedError (FEED_NOT_RECOGNISED) if these first bytes belong to a known file type that is not a feed."""
    for start, what, remedy in _STARTS:
        if head.startswith(start):
            raise _refusal(what, remedy)
    if head[_TAR_MAGIC] == b"ustar":
        raise _refusal("a tar archive", "use gzip or zip with one file")


def refuse_office_documents(names: Collection[str]) -> None:
    """The same for the names of the files in a zip archive."""
    for start, what, remedy in _OFFICE:
        if any(n.startswith(start) for n in names):
            raise _refusal(what, remedy)


def _refusal(what: str, remedy: str) -> FeedError:
    return FeedError("FEED_NOT_RECOGNISED", f"this is {what}, not a feed; {remedy}")
