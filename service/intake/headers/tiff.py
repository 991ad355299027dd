"""Reads the size of the first page of a TIFF picture."""

from __future__ import annotations

from service.intake.formats import Format
from service.intake.headers.header import Bytes, Header
from service.intake.headers.tiff_tags import ORIENTATION, first_directory

_WIDTH, _HEIGHT = 256, 257


def probe_tiff(data: Bytes) -> Header:
    """Reads a TIFF header. Sides are as displayed, because Pillow turns the page upright. Raises KeyError without
    sides."""
    tags = first_directory(data)
    width, height = tags[_WIDTH], tags[_HEIGHT]
    if 5 <= tags.get(ORIENTATION, 1) <= 8:
        width, height = height, width
    return Header(Format.TIFF, width, height)
