"""Reads the segments of a JPEG up to its first scan, as tolerantly as libjpeg."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from service.errors import Reason, ServiceError
from service.intake.formats import Format
from service.intake.headers.header import Bytes, Header
from service.intake.headers.tiff_tags import exif_orientation

_MAX_SEGMENTS = 4096
_SOF_MARKERS = frozenset(bytes.fromhex("c0c1c2c3 c5c6c7 c9cacb cdcecf"))
_WITHOUT_LENGTH = frozenset(bytes.fromhex("01 d0d1d2d3d4d5d6d7"))  # TEM, RST0 to RST7
_SOS, _EOI, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_PIECE = 1 << 16


@dataclass(frozen=True)
class JpegDetails:
    """What the JPEG decoder needs.

    - `components`: components per pixel, 1 to 4.
    - `first_marker`: offset of the marker after the start of the image.
    """

    components: int
    progressive: bool
    arithmetic: bool
    first_marker: int


def probe_jpeg(data: Bytes) -> Header:
    """Reads a JPEG header.

    Raises ServiceError for sub-formats that cannot be decoded; else ValueError, IndexError or struct.error.
    """
    frame: tuple[int, int, int, int, int] | None = None
    exif: list[Bytes] = []
    profile: dict[int, tuple[int, Bytes]] = {}
    at, first = next_marker(data, 2), 0
    for _ in range(_MAX_SEGMENTS):
        first = first or at
        marker = data[at + 1]
        if marker in _WITHOUT_LENGTH:
            at = next_marker(data, at + 2)
            continue
        if marker == _EOI:
            raise ValueError
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if length < 2:
            raise ValueError
        if marker == _SOS:
            break
        if marker in _SOF_MARKERS:
            frame = (marker, *struct.unpack_from(">BHHB", body))
        elif marker == _APP1 and bytes(body[:6]) == b"Exif\0\0":
            exif.append(body)
        elif marker == _APP2 and bytes(body[:12]) == b"ICC_PROFILE\0" and len(body) >= 14:
            profile.setdefault(body[12], (body[13], body[14:]))
        at = next_marker(data, at + 2 + length)
    else:
        raise ValueError
    if frame is None:
        raise ValueError
    kind, precision, height, width, components = frame
    if precision != 8:
        message = f"this is a JPEG picture of {precision} bits per sample; only those of 8 bits are decoded"
        raise ServiceError(Reason.IMAGE_FORMAT_UNSUPPORTED, message, field="image")
    details = JpegDetails(components, kind & 3 == 2, kind & 8 == 8, first)
    joined = _joined(profile)
    damaged = bool(profile) and joined is None
    return Header(Format.JPEG, width, height, exif_orientation(exif), joined, damaged, details=details)


def next_marker(data: Bytes, at: int) -> int:
    """The offset of the next marker, at its last fill byte. Skips bytes that belong to no segment.

    Raises IndexError if there is no marker.
    """
    while True:
        if data[at] != 0xFF:
            found = bytes(data[at : at + _PIECE]).find(b"\xff")
            if found < 0:
                at += _PIECE
                continue
            at += found
        while data[at + 1] == 0xFF:
            at += 1
        if data[at + 1] != 0:
            return at
        at += 2


def all_scans_are_there(data: bytes) -> bool:
    """Whether the scans contain every coefficient of every component down to its last bit."""
    coefficients: set[tuple[int, int]] = set()
    missing: set[tuple[int, int]] = set()
    for marker, start, end in _segments(data):
        body = data[start + 4 : end]
        if marker in _SOF_MARKERS:
            missing = coefficients = {(body[6 + 3 * n], k) for n in range(body[5]) for k in range(64)}
        elif marker == _SOS:
            count = body[0]
            first, last, bits = body[1 + 2 * count], body[2 + 2 * count], body[3 + 2 * count] & 15
            listed = body[1 : 2 * count : 2]
            there = {(component, k) for component, k in coefficients if component in listed and first <= k <= last}
            missing = missing | there if bits else missing - there
    return bool(coefficients) and not missing


def count_scans(data: bytes) -> int:
    """The number of scans that begin."""
    return sum(marker == _SOS for marker, _, _ in _segments(data))


def without_cut_segment(data: bytes) -> bytes:
    """Removes a truncated segment from the end."""
    for _, start, end in _segments(data):
        if end > len(data):
            return data[:start]
    return data


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields marker, start and end of every segment in the file, including those between and after the scans."""
    at = 2
    with contextlib.suppress(ValueError, IndexError):
        for _ in range(_MAX_SEGMENTS):
            at = next_marker(data, at)
            marker = data[at + 1]
            if marker == _EOI:
                return
            if marker in _WITHOUT_LENGTH:
                at += 2
                continue
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4].ljust(2, b"\xff"), "big")
            yield marker, at, end
            at = end


def _joined(parts: dict[int, tuple[int, Bytes]]) -> bytes | None:
    """The ICC profile from its numbered parts; None if one is missing."""
    if not parts:
        return None
    count = next(iter(parts.values()))[0]
    numbers = range(1, count + 1)
    if count < 1 or any(n not in parts for n in numbers):
        return None
    return b"".join(bytes(parts[n][1]) for n in numbers)
