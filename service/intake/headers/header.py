"""The result of every header reader, and functions that read bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from service.intake.formats import Format

Bytes = bytes | memoryview


@dataclass(frozen=True)
class Encoding:
    """The colour encoding of a picture without an ICC profile.

    - `gamma`: exponent from stored to linear values; 0: the sRGB curve.
    - `primaries`: x and y of red, green, blue and white (8 numbers, CIE 1931); empty: those of sRGB.
    """

    gamma: float = 0.0
    primaries: tuple[float, ...] = ()


@dataclass(frozen=True)
class Header:
    """The content of a picture's header.

    - `width`, `height`: in pixels, as stored.
    - `orientation`: EXIF orientation, 1 to 8; 1 if the picture has none.
    - `profile`: the embedded ICC profile.
    - `profile_damaged`: there is a profile, but it cannot be assembled.
    - `encoding`: the colour encoding of a picture without a profile.
    - `details`: what the decoder of the format needs.
    """

    format: Format
    width: int
    height: int
    orientation: int = 1
    profile: bytes | None = field(default=None, repr=False)
    profile_damaged: bool = False
    encoding: Encoding | None = None
    details: object = field(default=None, repr=False, compare=False)


def exactly(data: Bytes, at: int, count: int) -> bytes:
    """Returns `count` bytes from `at`. Raises ValueError if there are fewer."""
    part = bytes(data[at : at + count])
    if at < 0 or len(part) < count:
        raise ValueError
    return part


def riff_chunks(data: Bytes, at: int, most: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, start and length of each chunk of a RIFF file. A truncated chunk ends with the file."""
    for _ in range(most):
        if at + 8 > len(data):
            return
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield bytes(data[at : at + 4]), at + 8, min(length, len(data) - at - 8)
        at += 8 + length + (length & 1)
