"""AVIF, HEIC, TIFF and JPEG XL, which a server decodes if they are enabled."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pylibjxl
from PIL import Image

from tests.support.made_pictures import heics, profiles
from tests.support.made_pictures.lossy import saved
from tests.support.made_pictures.made import Made, drawing, grey_of, on_white
from tests.support.made_pictures.turned import stored_for

_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")


def all_kinds() -> Iterator[Made]:
    yield from heics.all_kinds()
    rgb = drawing(40, 24)
    grey = np.repeat(grey_of(rgb)[:, :, None], 3, axis=2)
    alpha = np.broadcast_to(np.linspace(0, 255, 40).round().astype(np.uint8), (24, 40))
    rgba, shown = np.dstack([rgb, alpha]), on_white(rgb, alpha / 255)
    icc = profiles.matrix_profile("Display P3")
    wide = np.round(profiles.in_space(rgb, "Display P3") * 255).astype(np.uint8)
    yield from _tiffs(rgb, grey, icc, wide)
    yield Made("tiff with alpha", saved(rgba, "TIFF"), shown)
    exact = {"quality": 100, "subsampling": "4:4:4"}
    yield Made("avif", saved(rgb, "AVIF", **exact), rgb, 16, 2)
    yield Made("avif lossy", saved(rgb, "AVIF", quality=80), rgb, 40, 5)
    yield Made("avif with alpha", saved(rgba, "AVIF", **exact), shown, 16, 2)
    yield Made("avif in Display P3", saved(wide, "AVIF", icc_profile=icc, **exact), rgb, 24, 3, pillow=False)
    later = [Image.fromarray(255 - rgb)]
    yield Made("avif animated", saved(rgb, "AVIF", save_all=True, append_images=later, **exact), rgb, 16, 2)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = stored_for(rgb, orientation)
        yield Made(f"avif turned {orientation}", saved(stored, "AVIF", exif=exif, **exact), rgb, 16, 2)
        tags = {274: orientation}
        yield Made(f"tiff turned {orientation}", saved(stored, "TIFF", tiffinfo=tags), rgb)
    yield Made("jxl", pylibjxl.encode(rgb, lossless=True), rgb, pillow=False)
    yield Made("jxl lossy", pylibjxl.encode(rgb, distance=0.5), rgb, 40, 4, pillow=False)
    yield Made("jxl with alpha", pylibjxl.encode(rgba, lossless=True), shown, pillow=False)
    yield Made("jxl in Display P3", pylibjxl.encode(wide, lossless=True, icc=icc), rgb, 12, 2, pillow=False)
    for width, height in ((8, 8), (160, 120), (33, 65), (256, 16), (1, 1)):
        other = drawing(width, height)
        yield Made(f"jxl {width} x {height}", pylibjxl.encode(other, lossless=True), other, pillow=False)
    whole = saved(rgb, "JPEG", quality=98, subsampling=0)
    yield Made("jxl in boxes, made of a JPEG", pylibjxl.jpeg_to_jxl(whole), rgb, 16, 3, pillow=False)


def _tiffs(rgb: np.ndarray, grey: np.ndarray, icc: bytes, wide: np.ndarray) -> Iterator[Made]:
    for compression in _COMPRESSIONS:
        yield Made(f"tiff {compression}", saved(rgb, "TIFF", compression=compression), rgb)
    yield Made("tiff as a JPEG", saved(rgb, "TIFF", compression="jpeg", quality=98), rgb, 24, 5)
    yield Made("tiff of grey", saved(grey[:, :, 0], "TIFF"), grey)
    palette = Image.fromarray(rgb).quantize(64)
    yield Made("tiff by a palette", saved(palette, "TIFF"), np.asarray(palette.convert("RGB")))
    two = Image.fromarray(grey[:, :, 0]).convert("1")
    yield Made("tiff of two colours", saved(two, "TIFF"), np.asarray(two.convert("RGB")))
    deep = grey[:, :, 0].astype(np.uint16) * 257
    yield Made("tiff of 16 bits", saved(Image.fromarray(deep), "TIFF"), grey, pillow=False)
    inks = np.concatenate([255 - rgb, rgb[:, :, :1] * 0], axis=2)
    cmyk = Image.frombytes("CMYK", (40, 24), inks.tobytes())
    yield Made("tiff of inks", saved(cmyk, "TIFF"), rgb)
    yield Made("tiff in Display P3", saved(wide, "TIFF", icc_profile=icc), rgb, 6, 1, pillow=False)
    pages = [Image.fromarray(255 - rgb)]
    yield Made("tiff of several pages", saved(rgb, "TIFF", save_all=True, append_images=pages), rgb)
    yield Made("tiff of the other byte order", _big_endian(rgb), rgb)


def _big_endian(rgb: np.ndarray) -> bytes:
    """One strip, with the fields required by the standard."""
    height, width = rgb.shape[:2]
    fields = ((256, 3, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 2), (273, 4, 8), (277, 3, 3),
              (278, 4, height), (279, 4, rgb.nbytes))  # fmt: skip
    directory = struct.pack(">H", len(fields))
    for tag, kind, value in fields:
        directory += struct.pack(">HHI", tag, kind, 1) + (struct.pack(">HH", value, 0) if kind == 3 else
                                                         struct.pack(">I", value))  # fmt: skip
    return b"MM\0*" + struct.pack(">I", 8 + rgb.nbytes) + rgb.tobytes() + directory + bytes(4)
