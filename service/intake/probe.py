"""Width, height, orientation and colours from a picture's header, without decoding it.

Pure Python over the first bytes of each structure, so that a hostile header is refused before any codec sees it.
"""

from __future__ import annotations

import struct

from service.errors import Reason, ServiceError
from service.intake.formats import SNIFF_BYTES, Format, describe, sniff
from service.intake.headers.bmp import probe_bmp
from service.intake.headers.gif import probe_gif
from service.intake.headers.header import Bytes, Header
from service.intake.headers.jpeg import probe_jpeg
from service.intake.headers.png import probe_png
from service.intake.headers.webp import probe_webp

__all__ = ["Bytes", "Header", "probe"]


def probe(picture: Bytes, partial: bool = False) -> Header:
    """Reads the header. `partial`: the picture may end within its pixels.

    Raises ServiceError (IMAGE_FORMAT_UNSUPPORTED, IMAGE_DAMAGED).
    """
    kind = sniff(bytes(picture[:SNIFF_BYTES]))
    if kind is None:
        message = f"this is {describe(bytes(picture[:64]))}; accepted are {', '.join(f.value for f in Format)}"
        raise ServiceError(Reason.IMAGE_FORMAT_UNSUPPORTED, message, field="image")
    try:
        return probe_png(picture, partial) if kind is Format.PNG else _PROBES[kind](picture)
    except (struct.error, IndexError, ValueError, KeyError):
        raise ServiceError(
            Reason.IMAGE_DAMAGED, f"the {kind.value} header is cut short or invalid", field="image"
        ) from None


_PROBES = {
    Format.JPEG: probe_jpeg,
    Format.WEBP: probe_webp,
    Format.GIF: probe_gif,
    Format.BMP: probe_bmp,
}
