"""GIF: palettes, frames, transparency and interlacing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.support.made_pictures.made import Made


@dataclass(frozen=True)
class Gif:
    """A GIF. `bits`: of the palette. `place`: position of the frame on the screen."""

    bits: int = 4
    version: bytes = b"GIF89a"
    screen: tuple[int, int] = (37, 23)
    place: tuple[int, int] = (0, 0)
    local: bool = False
    interlaced: bool = False
    transparent: int | None = None
    trailer: bytes = b"\0;"
    extensions: bytes = b""


def gif(kind: Gif, indices: np.ndarray, palette: np.ndarray) -> bytes:
    """`indices`: (height, width). `palette`: (2 ** bits, 3)."""
    table = palette.astype(np.uint8).tobytes()
    flags = 0x70 | kind.bits - 1
    screen = struct.pack("<HHBBB", *kind.screen, flags if kind.local else flags | 0x80, 0, 0)
    control = b""
    if kind.transparent is not None:
        control = b"\x21\xf9\x04\x01\x00\x00" + bytes([kind.transparent]) + b"\0"
    height, width = indices.shape
    frame_flags = (0x80 | kind.bits - 1 if kind.local else 0) | (0x40 if kind.interlaced else 0)
    frame = b"," + struct.pack("<HHHHB", *kind.place, width, height, frame_flags)
    if kind.interlaced:
        indices = np.concatenate([indices[start::step] for start, step in ((0, 8), (4, 8), (2, 4), (1, 2))])
    return b"".join((
        kind.version, screen, b"" if kind.local else table, kind.extensions, control, frame,
        table if kind.local else b"", _lzw(indices.reshape(-1).tolist(), max(2, kind.bits)), kind.trailer,
    ))  # fmt: skip


def _lzw(indices: list[int], bits: int) -> bytes:
    """Codes of single pixels, with the table cleared before they grow; all sub-blocks except the last, empty one."""
    clear, codes = 1 << bits, []
    for start in range(0, len(indices), clear - 2):
        codes += [clear, *indices[start : start + clear - 2]]
    codes.append(clear + 1)
    number = sum(code << (bits + 1) * n for n, code in enumerate(codes))
    content = number.to_bytes(-(-len(codes) * (bits + 1) // 8), "little")
    blocks = (content[n : n + 255] for n in range(0, len(content), 255))
    return bytes([bits]) + b"".join(bytes([len(block)]) + block for block in blocks)


def all_kinds() -> Iterator[Made]:
    for bits in range(1, 9):
        for local in (False, True):
            for interlaced in (False, True):
                yield _made(f"gif {bits} bits, local {local}, interlaced {interlaced}",
                            Gif(bits, local=local, interlaced=interlaced))  # fmt: skip
        yield _made(f"gif {bits} bits, transparent", Gif(bits, transparent=1))
    yield _made("gif 87a", Gif(version=b"GIF87a"))
    yield _made("gif on a larger screen", Gif(screen=(50, 40), place=(5, 9)), pillow=False)
    yield _made("gif transparent on a larger screen", Gif(screen=(50, 40), place=(5, 9), transparent=0))
    yield _made("gif larger than its screen", Gif(screen=(20, 10)))
    yield _made("gif on a screen of nothing", Gif(screen=(0, 0)))
    yield _made("gif without its trailer", Gif(trailer=b"\0"))
    yield _made("gif without its last block's end", Gif(trailer=b""), pillow=False)
    comment = b"\x21\xfe\x05hello\0"
    yield _made("gif with a comment first", Gif(extensions=comment * 3))


def _made(name: str, kind: Gif, pillow: bool = True) -> Made:
    count = 1 << kind.bits
    palette = np.random.default_rng(kind.bits).integers(0, 256, (count, 3))
    indices = np.arange(37 * 23).reshape(23, 37) * 3 // 2 % count
    shown = palette[indices]
    if kind.transparent is not None:
        shown = np.where((indices == kind.transparent)[:, :, None], 255, shown)
    left, top = kind.place
    canvas = np.full((max(kind.screen[1], top + 23), max(kind.screen[0], left + 37), 3), 255, np.uint8)
    canvas[top : top + 23, left : left + 37] = shown
    return Made(name, gif(kind, indices, palette), canvas, pillow=pillow)
