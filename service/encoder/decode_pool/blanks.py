"""White pictures of every format, which a decoder decodes to load its codecs and to overwrite what they leave on the
stack."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from importlib import import_module
from typing import Any

import cv2
import numpy as np
from PIL import Image

from service.intake.formats import Format

_HEIGHT, _WIDTH = 48, 340  # OpenCV's buffers of up to 1,032 bytes lie on the stack
# No package that the service depends on writes HEIC: 340 x 48 pixels, written with libheif.
_HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX9tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAA"
    "AERAAAEAAQAAAAABowABAAAAAAAAADYAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/2lwcnAAAADf"
    "aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAsQgEBA3AAAAMAkAAAAwAA"
    "AwAeoArIEHflurkprm4CGgwIAAADAMgAAAMACEBiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAAFUAAAAQAAAAChj"
    "bGFwAAABVAAAAAEAAAAwAAAAAQAAAAAAAAAC////8AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAPm1kYXQA"
    "AAAyKAGvE0XM+FDQp9Q/dMzsZilS+fV9uGUbb7iwcAngW8C5VqXz6vtwyjbfcEAKkCByB/Q="
)


@lru_cache
def blank(kind: Format) -> bytes:
    """A white picture whose rows still fit on the stack."""
    pixels = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    if kind is Format.HEIC:
        return base64.b64decode(_HEIC)
    if kind is Format.JXL:
        jxl: Any = import_module("pylibjxl")
        return bytes(jxl.encode(pixels))
    if kind in (Format.AVIF, Format.TIFF):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, kind.name)
        return out.getvalue()
    return cv2.imencode(f".{kind.value}", pixels)[1].tobytes()
