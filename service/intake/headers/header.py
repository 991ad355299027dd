"""The shape of what every header reader returns, and how the readers look at bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from service.intake.formats import Format

Bytes = bytes | memoryview


@dataclass(frozen=True)
class Encoding:
    """What the numbers of a picture mean, where it does not say so by an ICC profile.

    `gamma`: exponent from stored to linear values; 0: the curve of sRGB. `primaries`: x and y of red, green, blue and
    white (8 numbers, CIE 1931); empty: those of sRGB.
    """

    gamma: float = 0.0
    primaries: tuple[float, ...] = ()


@dataclass(frozen=True)
class Header:
    """What a header says. Sides are as stored, in pixels; `orientation` is EXIF's, 1 to 8, and 1 where there is none.

    profile: the embedded ICC profile. profile_damaged: there is one, which cannot be put together. encoding: of a
    picture without a profile. details: what the format's own decoder needs to know.
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
    """`count` bytes from `at`. Raises ValueError where there are fewer."""
    part = bytes(data[at : at + count])
    if at < 0 or len(part) < count:
        raise ValueError
    return part


def riff_chunks(data: Bytes, at: int, most: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and length of each chunk of a RIFF file; a chunk that is cut short ends with the file."""
    for _ in range(most):
        if at + 8 > len(data):
            return
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield bytes(data[at : at + 4]), at + 8, min(length, len(data) - at - 8)
        at += 8 + length + (length & 1)
