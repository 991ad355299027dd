"""WebP: still pictures by OpenCV, of an animation the first frame on its canvas by Pillow."""

from __future__ import annotations

from typing import cast

from service.intake.codecs.opencv import decode_as_stored
from service.intake.codecs.stored import Stored, damaged, split_alpha
from service.intake.codecs.with_pillow import Undecodable, channels, loaded, open_picture
from service.intake.formats import Format
from service.intake.headers.header import Header
from service.intake.headers.webp import WebpDetails


def decode_webp(picture: bytes | memoryview, header: Header) -> Stored:
    """RGB, with alpha where there is any. Raises ServiceError (IMAGE_DAMAGED)."""
    if not cast(WebpDetails, header.details).animated:
        found = decode_as_stored(picture)
        if found is None:
            raise damaged(Format.WEBP)
        return split_alpha(found)
    try:
        opened = open_picture(Format.WEBP, picture, (header.width, header.height))
        return split_alpha(channels(loaded(opened), "RGBA"))
    except Undecodable:
        raise damaged(Format.WEBP) from None
