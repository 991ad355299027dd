"""Which format a picture has, by its first bytes. Names and content types are never believed."""

from __future__ import annotations

from enum import Enum

SNIFF_BYTES = 16


class Format(Enum):
    """Formats that may reach the decoder."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    GIF = "gif"
    BMP = "bmp"


def sniff(head: bytes) -> Format | None:
    """The format of a picture that begins with `head` (16 bytes suffice), or None where it is not an allowed one."""
    if head.startswith(b"\xff\xd8"):
        return Format.JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Format.WEBP
    if head.startswith((b"GIF87a", b"GIF89a")):
        return Format.GIF
    if head.startswith(b"BM"):
        return Format.BMP
    return None


def media_type(picture: bytes) -> str:
    """The media type of a picture, such as image/png."""
    found = sniff(picture[:SNIFF_BYTES])
    return f"image/{found.value}" if found is not None else "application/octet-stream"


def describe(head: bytes) -> str:
    """What a refused file looks like, for the error message. Never quotes its content."""
    known = (
        (b"%PDF", "a PDF document"),
        (b"#?RADIANCE", "a Radiance HDR picture"),
        (b"#?RGBE", "a Radiance HDR picture"),
        (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
        (b"II*\x00", "a TIFF picture"),
        (b"MM\x00*", "a TIFF picture"),
        (b"\x00\x00\x00\x0cjP", "a JPEG 2000 picture"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "a gzip archive"),
    )
    for magic, name in known:
        if head.startswith(magic):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml")):
        return "an SVG or XML document"
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if head[4:8] == b"ftyp":
        return "an AVIF, HEIC or video file"
    if text and all(32 <= b < 127 or b in b"\r\n\t" for b in text):
        return "text"
    return "none of the accepted formats"
