"""Decodes the available part of a truncated picture with decoders that require a complete file.

The missing bytes are filled several times, each time with other values. Pixels that are equal in all results come from
the available bytes. This works because the formats decoded here (WebP, AVIF, HEIC, TIFF) do not let missing data change
earlier pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.intake.codecs.stored import Stored

# Not every filling is decodable. The first two nearly always are for AVIF, and all but the second for WebP.
_FILLINGS = (
    b"\0", b"\xff", b"\x55", b"\x10", b"\x01", b"\x80", bytes(range(1, 8)), b"\0\0\0\1", b"\xff\xff\xfe", b"\xfe",
)  # fmt: skip
_Mask = NDArray[Any]  # of bool, (height, width)
_COMPARED, _LARGE = 3, 8_000_000  # results to compare; two for pictures of more pixels than _LARGE


def part_of(decode: Callable[[bytes], Stored], missing: int) -> Stored | None:
    """Returns the available part with the rest white and transparent; None if no part is certain.

    `decode` takes the bytes that replace the missing ones, at most `missing` of them. It may raise any exception if the
    picture cannot be decoded with them.
    """
    first: Stored | None = None
    differs: _Mask | None = None
    compared = 1
    for stored in _decoded(decode, missing):
        if first is None:
            first = stored
        elif stored.colour.shape == first.colour.shape and (stored.alpha is None) == (first.alpha is None):
            found = _difference(first, stored)
            differs = found if differs is None else differs | found
            compared += 1
        if compared == (_COMPARED if first.colour.size < 3 * _LARGE else 2):
            break
    return None if first is None or differs is None else _with_white(first, differs)


def _decoded(decode: Callable[[bytes], Stored], missing: int) -> Iterator[Stored]:
    for filling in _FILLINGS:
        try:
            stored = decode((filling * (missing // len(filling) + 1))[:missing])
        except MemoryError:
            raise
        except Exception:  # noqa: S112 - the libraries raise many types for invalid bytes
            continue
        yield stored


def _difference(first: Stored, other: Stored) -> _Mask:
    found: _Mask = (first.colour != other.colour).any(axis=2)
    if first.alpha is not None and other.alpha is not None:
        found |= first.alpha != other.alpha
    return found


def _with_white(stored: Stored, differs: _Mask) -> Stored | None:
    """Fills the missing part with white. The picture may be rotated, so the side with the most certain rows is used."""
    parts: list[tuple[float, int, int]] = []
    for turns in range(4):
        lines = np.asarray(np.rot90(differs, turns).any(axis=1))
        there = int(lines.argmax()) if lines.any() else len(lines)
        parts.append((there / len(lines), there, turns))
    _, there, turns = max(parts, key=lambda part: part[0])
    if not there:
        return None
    colour = _filled(stored.colour, turns, there, int(np.iinfo(stored.colour.dtype).max))
    alpha = None if stored.alpha is None else _filled(stored.alpha, turns, there, 0)
    return replace(stored, colour=colour, alpha=alpha, complete=False)


def _filled(pixels: NDArray[Any], turns: int, there: int, value: int) -> NDArray[Any]:
    pixels = pixels.copy()
    np.rot90(pixels, turns)[there:] = value
    return pixels
