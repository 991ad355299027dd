"""JPEG and WebP: all codings, and files that deviate slightly from the standard."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from tests.support.made_pictures.made import Made, drawing, grey_of, on_white

_SAMPLINGS = {
    "4:1:1": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411, "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, "4:4:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}  # fmt: skip


def saved(picture: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    made = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    made.save(out, kind, **options)
    return out.getvalue()


def all_kinds() -> Iterator[Made]:
    yield from _jpegs()
    yield from _odd_jpegs()
    yield from _webps()


def _jpegs() -> Iterator[Made]:
    for width, height in ((37, 23), (64, 48), (1, 1), (9, 17)):
        rgb = drawing(width, height)
        for name, sampling in _SAMPLINGS.items():
            for progressive in (0, 1):
                for restart in (0, 2):
                    options = [
                        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive,
                        cv2.IMWRITE_JPEG_RST_INTERVAL, restart, cv2.IMWRITE_JPEG_QUALITY, 97,
                    ]  # fmt: skip
                    content = cv2.imencode(".jpg", rgb[:, :, ::-1], options)[1].tobytes()
                    yield Made(f"jpeg {width} x {height} {name} {progressive} {restart}", content, rgb, 24, 6)
    rgb = drawing()
    grey = grey_of(rgb)
    shown = np.repeat(grey[:, :, None], 3, axis=2)
    yield Made("jpeg of grey", saved(grey, "JPEG", quality=97), shown, 12, 3)
    yield Made("jpeg of grey, progressive", saved(grey, "JPEG", quality=97, progressive=True), shown, 12, 3)
    yield Made("jpeg of RGB", saved(rgb, "JPEG", quality=97, keep_rgb=True), rgb, 12, 3)
    inks = np.concatenate([255 - rgb, np.zeros((*rgb.shape[:2], 1), np.uint8)], axis=2)
    cmyk = Image.frombytes("CMYK", (37, 23), inks.tobytes())
    whole = saved(cmyk, "JPEG", quality=97)
    yield Made("jpeg of inks, inverted as Adobe does", whole, rgb, 12, 3)
    at = whole.index(b"\xff\xee")
    bare = whole[:at] + whole[at + 2 + int.from_bytes(whole[at + 2 : at + 4], "big") :]
    yield Made("jpeg of inks, inverted without saying so", bare, rgb, 12, 3)


def _odd_jpegs() -> Iterator[Made]:
    rgb = drawing(64, 48)
    for name, content in (("", saved(rgb, "JPEG", quality=97)),
                          (" progressive", saved(rgb, "JPEG", quality=97, progressive=True))):  # fmt: skip
        at = content.index(b"\xff\xdb")
        odd = {
            "with bytes between markers": content[:at] + b"junk\0\1" + content[at:],
            "with a stuffed byte between markers": content[:at] + b"x\xff\0y" + content[at:],
            "with bytes behind its start": content[:2] + b"junk" + content[2:],
            "with fill bytes": content[:at] + b"\xff" * 7 + content[at:],
            "without its end": content[:-2],
            "without half of its end": content[:-1],
            "with bytes behind its end": content + b"\0\0more",
        }
        for said, made in odd.items():
            yield Made(f"jpeg{name} {said}", made, rgb, 24, 4, pillow="start" not in said and "its end" not in said)


def _webps() -> Iterator[Made]:
    for width, height in ((37, 23), (1, 1), (64, 48)):
        rgb = drawing(width, height)
        alpha = np.broadcast_to(np.linspace(0, 255, width).round().astype(np.uint8), (height, width))
        rgba = np.dstack([rgb, alpha])
        shown = on_white(rgb, alpha / 255)
        yield Made(f"webp {width} lossless", saved(rgb, "WEBP", lossless=True), rgb)
        yield Made(f"webp {width} lossless, alpha", saved(rgba, "WEBP", lossless=True, exact=True), shown)
        yield Made(f"webp {width} lossy", saved(rgb, "WEBP", quality=98), rgb, 40, 6)
        yield Made(f"webp {width} lossy, alpha", saved(rgba, "WEBP", quality=98, exact=True), shown, 40, 6)
        later = [Image.fromarray(255 - rgba)]
        moving = saved(rgba, "WEBP", lossless=True, exact=True, save_all=True, append_images=later)
        yield Made(f"webp {width} animated", moving, shown)
    rgb = drawing()
    yield Made("webp animated, first frame on a larger canvas", _on_canvas(saved(rgb, "WEBP", lossless=True)),
               _placed(rgb))  # fmt: skip


def _on_canvas(still: bytes) -> bytes:
    frame = (4).to_bytes(3, "little") + (3).to_bytes(3, "little")  # half of left and top
    frame += (36).to_bytes(3, "little") + (22).to_bytes(3, "little") + (100).to_bytes(3, "little") + b"\2"
    frame += still[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + (49).to_bytes(3, "little") + (39).to_bytes(3, "little")
    body += b"ANIM" + struct.pack("<IIH", 6, 0, 0) + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _placed(rgb: np.ndarray) -> np.ndarray:
    canvas = np.full((40, 50, 3), 255, np.uint8)
    canvas[6:29, 8:45] = rgb
    return canvas
