"""Detects the format of a picture by its first bytes. File names and content types are ignored."""

from __future__ import annotations

from enum import Enum
from importlib.util import find_spec

SNIFF_BYTES = 64


class Format(Enum):
    """Formats that may reach a decoder."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    GIF = "gif"
    BMP = "bmp"
    AVIF = "avif"
    HEIC = "heic"
    TIFF = "tiff"
    JXL = "jxl"


ALWAYS = (Format.JPEG, Format.PNG, Format.WEBP, Format.GIF, Format.BMP)
OPTIONAL = (Format.AVIF, Format.HEIC, Format.TIFF, Format.JXL)  # decoded if the setting image_formats lists them
_NAMES = {Format.AVIF: "an AVIF", Format.HEIC: "a HEIC", Format.TIFF: "a TIFF", Format.JXL: "a JPEG XL"}
_PACKAGES = {Format.HEIC: "pi_heif", Format.JXL: "pylibjxl"}
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_JXL_BOX = b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"


def missing_package(kind: Format) -> str:
    """The package that decodes a format, if it is not installed; else ""."""
    package = _PACKAGES.get(kind, "")
    return package.replace("_", "-") if package and find_spec(package) is None else ""


def sniff(head: bytes) -> Format | None:
    """The format of a picture that begins with `head`, or None if unknown. SNIFF_BYTES bytes are sufficient."""
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
    return _sniff_optional(head)


def _sniff_optional(head: bytes) -> Format | None:
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return Format.TIFF
    if head.startswith((b"\xff\x0a", _JXL_BOX)):
        return Format.JXL
    if head[4:8] != b"ftyp":
        return None
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), len(head)), 4))]
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return Format.AVIF
        if brand in _HEIC_BRANDS:
            return Format.HEIC
    return None


def refusal(kind: Format) -> str:
    """The error message for a picture whose format is not enabled."""
    return f"this is {_NAMES[kind]} picture, which this server does not decode; add {kind.value} to image_formats"


def media_type(picture: bytes) -> str:
    """The media type of a picture, such as image/png."""
    found = sniff(picture[:SNIFF_BYTES])
    return f"image/{found.value}" if found is not None else "application/octet-stream"


def describe(head: bytes) -> str:
    """Describes a rejected file for the error message, without quoting its content."""
    known = (
        (b"%PDF", "a PDF document"),
        (b"#?RADIANCE", "a Radiance HDR picture"),
        (b"#?RGBE", "a Radiance HDR picture"),
        (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
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
        return "a video file, or a picture in a container for videos"
    if text and all(32 <= b < 127 or b in b"\r\n\t" for b in text):
        return "text"
    return "none of the accepted formats"
