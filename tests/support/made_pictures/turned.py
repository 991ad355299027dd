"""Rotated pictures, with every way to declare the rotation."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.support.made_pictures.made import Made, drawing
from tests.support.made_pictures.pngs import chunk, png

_TYPES = {3: ("H", 2), 4: ("I", 0), 9: ("i", 0)}  # of a value: struct code, bytes behind it


def exif(orientation: int, order: str = "<", kind: int = 3, others: int = 1) -> bytes:
    """A TIFF block with one directory. `others`: further fields before and after."""
    code, padding = _TYPES[kind]
    entries = [(0x010E, 2, b"x\0\0\0")] * others
    entries += [(0x0112, kind, struct.pack(order + code, orientation) + bytes(padding))]
    entries += [(0x0131, 2, b"y\0\0\0")] * others
    body = struct.pack(order + "H", len(entries))
    for tag, field, value in entries:
        body += struct.pack(order + "HHI", tag, field, 1 if field != 2 else 2) + value
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8) + body + bytes(4)


def stored_for(shown: np.ndarray, orientation: int) -> np.ndarray:
    """The stored pixels for a picture that is `shown` after rotation."""
    turned = {
        1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1], 5: shown.swapaxes(0, 1),
        6: np.rot90(shown, 1), 7: np.rot90(shown, 2).swapaxes(0, 1), 8: np.rot90(shown, -1),
    }  # fmt: skip
    return np.ascontiguousarray(turned[orientation])


def app1(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def all_kinds() -> Iterator[Made]:
    shown = drawing(33, 20, seed=8)
    for orientation in range(1, 9):
        stored = stored_for(shown, orientation)
        for order in "<>":
            for kind in _TYPES:
                block = exif(orientation, order, kind)
                name = f"turned {orientation} {'II' if order == '<' else 'MM'} type {kind}"
                yield Made(f"jpeg {name}", _jpeg(stored, app1(b"Exif\0\0" + block)), shown, 14, 3)
        block = exif(orientation)
        yield Made(f"jpeg turned {orientation} by its second block",
                   _jpeg(stored, app1(b"Exif\0\0" + exif(0)) + app1(b"Exif\0\0" + block)), shown, 14, 3,
                   pillow=False)  # fmt: skip
        half = len(block) // 2
        split = app1(b"Exif\0\0" + block[:half]) + app1(b"Exif\0\0" + block[half:])
        yield Made(f"jpeg turned {orientation} by a block in two parts", _jpeg(stored, split), shown, 14, 3)
        xmp = app1(b"http://ns.adobe.com/xap/1.0/\0<x/>") + app1(b"Exif\0\0" + block)
        yield Made(f"jpeg turned {orientation} behind XMP", _jpeg(stored, xmp), shown, 14, 3)
        for prefix in (b"", b"Exif\0\0"):
            content = png(stored.astype(int), 8, 2, before=chunk(b"eXIf", prefix + block))
            yield Made(f"png turned {orientation} {prefix!r}", content, shown, pillow=not prefix)
            yield Made(f"webp turned {orientation} {prefix!r}", _webp(stored, prefix + block), shown)
    for name, block in {"of nothing": b"", "of noise": bytes(range(200)), "cut": exif(6)[:12], "out of range": exif(9),
                        "of a far directory": b"II*\0\xff\xff\xff\xff",
                        "of a directory beyond all memory": b"II+\0\x08\0\0\0" + b"\xff" * 8}.items():  # fmt: skip
        yield Made(f"jpeg with EXIF {name}", _jpeg(shown, app1(b"Exif\0\0" + block)), shown, 14, 3, pillow=False)


def _jpeg(rgb: np.ndarray, segments: bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=97, subsampling=0)
    content = out.getvalue()
    return content[:2] + segments + content[2:]


def _webp(rgb: np.ndarray, block: bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "WEBP", lossless=True, exif=b"Exif\0\0" + exif(1))
    content = bytearray(out.getvalue())
    at = content.index(b"EXIF")
    content[at:] = b"EXIF" + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
    content[4:8] = struct.pack("<I", len(content) - 8)
    return bytes(content)
