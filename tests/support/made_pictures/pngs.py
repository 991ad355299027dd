"""PNG: every colour type, depth, transparency and row order."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.support.made_pictures.made import Made, drawing, grey_of, on_white

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    samples: np.ndarray, depth: int, colour: int, *, interlaced: bool = False, before: bytes = b"", filtering: int = 0
) -> bytes:
    """`samples`: (height, width, channels), integers below 2 ** depth."""
    height, width = samples.shape[:2]
    header = chunk(b"IHDR", struct.pack(">II5B", width, height, depth, colour, 0, 0, int(interlaced)))
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in _PASSES] if interlaced else [samples]
    raw = b"".join(_rows(part, depth, filtering) for part in parts if part.size)
    return b"".join((b"\x89PNG\r\n\x1a\n", header, before, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")))


def _rows(samples: np.ndarray, depth: int, filtering: int) -> bytes:
    rows = []
    step = max(1, samples.shape[2] * depth // 8)
    previous = None
    for line in samples.reshape(len(samples), -1):
        if depth == 16:
            packed = line.astype(">u2").tobytes()
        else:
            bits = (line[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            packed = np.packbits(bits.astype(np.uint8).reshape(-1)).tobytes()
        rows.append(bytes([filtering]) + _filtered(packed, previous or bytes(len(packed)), step, filtering))
        previous = packed
    return b"".join(rows)


def _filtered(row: bytes, above: bytes, step: int, filtering: int) -> bytes:
    left, corner = bytes(step) + row, bytes(step) + above
    found = bytearray()
    for n, value in enumerate(row):
        a, b, c = left[n], above[n], corner[n]
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        found.append((value - (0, a, b, (a + b) // 2, paeth)[filtering]) & 255)
    return bytes(found)


def with_damaged_profile(picture: Image.Image) -> bytes:
    """A PNG of it with an invalid profile."""
    return png(np.asarray(picture).astype(int), 8, 2, before=chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")))


def all_kinds() -> Iterator[Made]:
    for colour, depths in _DEPTHS.items():
        for depth in depths:
            for interlaced in (False, True):
                yield _kind(colour, depth, interlaced, hidden=False)
                if colour in (0, 2, 3):
                    yield _kind(colour, depth, interlaced, hidden=True)
    for filtering in range(5):
        rgb = drawing(seed=filtering)
        yield Made(f"png filter {filtering}", png(rgb.astype(int), 8, 2, filtering=filtering), rgb)
    for width, height in ((1, 1), (1, 9), (9, 1), (2, 3), (8, 8), (5, 17)):
        rgb = drawing(width, height)
        for interlaced in (False, True):
            content = png(rgb.astype(int), 8, 2, interlaced=interlaced)
            yield Made(f"png {width} x {height} {interlaced}", content, rgb)


def _kind(colour: int, depth: int, interlaced: bool, hidden: bool) -> Made:
    """`hidden`: with a tRNS chunk."""
    most = (1 << depth) - 1
    rgb = drawing(seed=depth + colour)
    name = f"png colour {colour} depth {depth}{' interlaced' if interlaced else ''}{' tRNS' if hidden else ''}"
    if colour == 3:
        return _palette(name, depth, interlaced, hidden)
    planes = grey_of(rgb)[:, :, None] if colour in (0, 4) else rgb
    samples = np.round(planes.astype(float) * most / 255).astype(int)
    if depth == 16:  # the low bytes count
        samples = np.clip(samples + np.arange(samples.shape[1])[None, :, None] % 2 * 100, 0, most)
    before, alpha = b"", np.ones(samples.shape[:2])
    if hidden:
        key = samples[3, 5]
        before = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
        alpha = (samples != key).any(axis=2).astype(float)
        if depth == 16:  # a neighbour in the low byte alone must stay
            samples[0, 0] = key ^ 1
            alpha[0, 0] = 1
    shown = np.broadcast_to(samples * 255 / most, rgb.shape)
    if colour in (4, 6):
        ramp = np.broadcast_to(np.linspace(0, most, samples.shape[1]).round().astype(int), samples.shape[:2])
        samples = np.concatenate([samples, ramp[:, :, None]], axis=2)
        alpha = ramp / most
    exact = depth == 8 or (depth < 8 and not hidden)  # Pillow scales grey, but not its tRNS, and cuts off low bytes
    pillow = exact or (depth == 16 and not hidden)
    content = png(samples, depth, colour, interlaced=interlaced, before=before)
    return Made(name, content, on_white(shown, alpha), pillow=pillow and (depth, colour) not in ((16, 0), (16, 4)))


def _palette(name: str, depth: int, interlaced: bool, hidden: bool) -> Made:
    count = 1 << depth
    colours = np.random.default_rng(depth).integers(0, 256, (count, 3))
    indices = (np.arange(37 * 23).reshape(23, 37) * 7 // 3) % count
    before = chunk(b"PLTE", colours.astype(np.uint8).tobytes())
    alpha = np.full(count, 255)
    if hidden:
        alpha[: count // 2] = np.linspace(0, 200, count // 2)
        before += chunk(b"tRNS", alpha[: count // 2].astype(np.uint8).tobytes())
    content = png(indices[:, :, None], depth, 3, interlaced=interlaced, before=before)
    return Made(name, content, on_white(colours[indices], alpha[indices] / 255))
