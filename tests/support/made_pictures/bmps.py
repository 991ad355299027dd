"""BMP: every header, depth, mask and row order."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.support.made_pictures.made import Made, drawing, on_white

_HEADERS = {12: "OS/2 1", 16: "OS/2 2 short", 64: "OS/2 2", 40: "3", 52: "3 with masks", 56: "3 with alpha", 108: "4",
            124: "5"}  # fmt: skip
_PILLOW_READS = (12, 40, 52, 56, 64, 108, 124)
_PLAIN = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}


@dataclass(frozen=True)
class _Kind:
    size: int
    bits: int
    compression: int = 0
    top_down: bool = False
    masks: tuple[int, int, int, int] | None = None


def bmp(kind: _Kind, width: int, height: int, palette: np.ndarray, pixels: bytes) -> bytes:
    """`palette`: (colours, 3) RGB. `pixels`: the rows as in the file."""
    colours = b""
    for red, green, blue in palette.tolist():
        colours += bytes((blue, green, red)) + (b"" if kind.size == 12 else b"\0")
    if kind.size == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, kind.bits)
    else:
        info = struct.pack(
            "<IiiHHIIiiII", kind.size, width, -height if kind.top_down else height, 1, kind.bits, kind.compression,
            len(pixels), 2835, 2835, len(palette), 0,
        )[: kind.size]  # fmt: skip
        masks = struct.pack("<4I", *(kind.masks or (0, 0, 0, 0)))
        rest = b"" if kind.size in (16, 64) else masks
        if kind.size >= 108:
            rest += b"BGRs"
        info = (info + rest[: max(0, kind.size - len(info))]).ljust(kind.size, b"\0")
        if kind.size == 40 and kind.compression == 3:
            info += masks[:12]
        if kind.size == 40 and kind.compression == 6:
            info += masks
    start = 14 + len(info) + len(colours)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + info + colours + pixels


def packed_rows(rows: np.ndarray, bits: int, top_down: bool) -> bytes:
    """`rows`: (height, width) of integers with the given number of bits."""
    if bits < 8:
        each = ((rows[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
        lines = [np.packbits(line.reshape(-1)).tobytes() for line in each]
    else:
        lines = [line.astype("<u4").view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes() for line in rows]
    padded = [line + bytes(-len(line) % 4) for line in lines]
    return b"".join(padded if top_down else padded[::-1])


def all_kinds() -> Iterator[Made]:
    for size, version in _HEADERS.items():
        for bits in (1, 2, 4, 8, 16, 24, 32):
            for top_down in (False, True) if size not in (12, 16, 64) else (False,):
                name = f"bmp {version}, {bits} bits{', from the top' if top_down else ''}"
                pillow = size in _PILLOW_READS and bits != 2
                yield _plain(name, _Kind(size, bits, top_down=top_down), pillow)
    yield from _fields()
    yield from _runs()
    yield _alpha("bmp 5, real alpha", _ramp_alpha())
    yield _alpha("bmp 5, an alpha that was never written", np.zeros((23, 37)), shown_alpha=np.ones((23, 37)))


def _plain(name: str, kind: _Kind, pillow: bool) -> Made:
    rgb = drawing(seed=kind.bits)
    if kind.bits <= 8:
        count = 1 << kind.bits
        palette = np.random.default_rng(kind.bits).integers(0, 256, (count, 3))
        indices = (np.arange(37 * 23).reshape(23, 37) * 5 // 3) % count
        content = bmp(kind, 37, 23, palette, packed_rows(indices, kind.bits, kind.top_down))
        return Made(name, content, palette[indices].astype(np.uint8), pillow=pillow)
    masks = _PLAIN.get(kind.bits, (0xFF0000, 0xFF00, 0xFF, 0))
    numbers, shown = _by_masks(rgb, masks)
    return Made(name, bmp(kind, 37, 23, rgb[:0, 0], packed_rows(numbers, kind.bits, kind.top_down)), shown,
                most=4 if kind.bits == 16 else 1, mean=4, pillow=pillow)  # fmt: skip


def _by_masks(rgb: np.ndarray, masks: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The pixels as integers, and their colours."""
    numbers, shown = np.zeros(rgb.shape[:2], np.int64), np.zeros(rgb.shape)
    for channel, mask in enumerate(masks[:3]):
        if mask:
            shift = (mask & -mask).bit_length() - 1
            most = mask >> shift
            levels = np.round(rgb[:, :, channel].astype(float) * most / 255).astype(np.int64)
            numbers |= levels << shift
            shown[:, :, channel] = levels * 255 / most
    return numbers, shown.round().astype(np.uint8)


def _fields() -> Iterator[Made]:
    layouts = {
        16: [(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0), (0xF00, 0xF0, 0xF, 0), (0x1F, 0x7E0, 0xF800, 0)],
        32: [(0xFF0000, 0xFF00, 0xFF, 0), (0xFF, 0xFF00, 0xFF0000, 0), (0xFF000000, 0xFF0000, 0xFF00, 0),
             (0xFF00, 0xFF0000, 0xFF000000, 0), (0x3FF00000, 0xFFC00, 0x3FF, 0), (0xF8000000, 0x7E00000, 0x1F0000, 0)],
    }  # fmt: skip
    for bits, kinds in layouts.items():
        for masks in kinds:
            for size in (40, 52, 56, 108, 124):
                numbers, shown = _by_masks(drawing(seed=size), masks)
                kind = _Kind(size, bits, 3, masks=masks)
                if bits == 32:  # what is in no mask is no alpha
                    free = ~sum(masks) & 0xFFFFFFFF
                    numbers |= np.arange(37)[None] * 0x01010101 & free
                content = bmp(kind, 37, 23, shown[:0, 0], packed_rows(numbers, bits, False))
                yield Made(f"bmp fields {size} {masks}", content, shown, most=5, mean=4, pillow=False)


def _runs() -> Iterator[Made]:
    palette = np.random.default_rng(9).integers(0, 256, (256, 3))
    indices = np.repeat(np.arange(23)[:, None] % 16, 38, axis=1)
    indices[:, 20:] = (np.arange(18) * 3 % 16)[None]
    for bits, compression in ((8, 1), (4, 2)):
        content = b""
        for row in indices[::-1]:
            content += bytes((20, int(row[0]) * (17 if bits == 4 else 1)))
            literal = row[20:].astype(np.uint8)
            body = literal.tobytes() if bits == 8 else bytes(int(a) << 4 | int(b) for a, b in literal.reshape(-1, 2))
            content += bytes((0, len(literal))) + body + bytes(len(body) % 2) + b"\0\0"
        kind = _Kind(40, bits, compression)
        file = bmp(kind, 38, 23, palette[: 1 << bits], content + b"\0\1")
        yield Made(f"bmp runs of {bits} bits", file, palette[indices].astype(np.uint8))


def _ramp_alpha() -> np.ndarray:
    return np.broadcast_to(np.linspace(0, 1, 37), (23, 37))


def _alpha(name: str, alpha: np.ndarray, shown_alpha: np.ndarray | None = None) -> Made:
    rgb, masks = drawing(), (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    numbers, shown = _by_masks(rgb, masks)
    levels = np.round(alpha * 255).astype(np.int64)
    content = bmp(_Kind(124, 32, 3, masks=masks), 37, 23, rgb[:0, 0], packed_rows(numbers | levels << 24, 32, False))
    expected = on_white(shown, levels / 255 if shown_alpha is None else shown_alpha)
    return Made(name, content, expected, pillow=shown_alpha is None)


def bmp_with_profile(rgb: np.ndarray, profile: bytes) -> bytes:
    """24 bits, version 5, with the profile after the pixels."""
    height, width = rgb.shape[:2]
    numbers, _ = _by_masks(rgb, (0xFF0000, 0xFF00, 0xFF, 0))
    content = bytearray(bmp(_Kind(124, 24), width, height, rgb[:0, 0], packed_rows(numbers, 24, False)))
    content[14 + 56 : 14 + 60] = b"DEBM"
    content[14 + 112 : 14 + 120] = struct.pack("<II", len(content) - 14, len(profile))
    return bytes(content) + profile
