"""Reads width, height, orientation and colours from a picture's header, without decoding it.

This is pure Python over the first bytes of each structure. A hostile header is rejected before any codec sees it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from service.errors import Reason, ServiceError
from service.intake.formats import ALWAYS, SNIFF_BYTES, Format, describe, refusal, sniff
from service.intake.headers.bmp import probe_bmp
from service.intake.headers.gif import probe_gif
from service.intake.headers.header import Bytes, Header
from service.intake.headers.isobmff import probe_avif, probe_heic
from service.intake.headers.jpeg import probe_jpeg
from service.intake.headers.jxl import probe_jxl
from service.intake.headers.png import probe_png
from service.intake.headers.tiff import probe_tiff
from service.intake.headers.webp import probe_webp

__all__ = ["Bytes", "Header", "probe"]


def probe(picture: Bytes, partial: bool = False, optional: Sequence[str] = ()) -> Header:
    """Reads the header of a picture.

    - `partial`: accept a file that ends within its pixels.
    - `optional`: optional formats that are enabled.

    Raises ServiceError (IMAGE_FORMAT_UNSUPPORTED, IMAGE_DAMAGED).
    """
    kind = sniff(bytes(picture[:SNIFF_BYTES]))
    if kind is None:
        accepted = ", ".join((*(f.value for f in ALWAYS), *optional))
        message = f"this is {describe(bytes(picture[:SNIFF_BYTES]))}; accepted are {accepted}"
        raise ServiceError(Reason.IMAGE_FORMAT_UNSUPPORTED, message, field="image")
    if kind not in ALWAYS and kind.value not in optional:
        raise ServiceError(Reason.IMAGE_FORMAT_UNSUPPORTED, refusal(kind), field="image")
    try:
        return probe_png(picture, partial) if kind is Format.PNG else _PROBES[kind](picture)
    except (struct.error, IndexError, ValueError, KeyError, OverflowError):
        raise ServiceError(
            Reason.IMAGE_DAMAGED, f"the {kind.value} header is truncated or invalid", field="image"
        ) from None


_PROBES = {
    Format.JPEG: probe_jpeg,
    Format.WEBP: probe_webp,
    Format.GIF: probe_gif,
    Format.BMP: probe_bmp,
    Format.AVIF: probe_avif,
    Format.HEIC: probe_heic,
    Format.TIFF: probe_tiff,
    Format.JXL: probe_jxl,
}
