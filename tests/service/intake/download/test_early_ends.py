"""Compressed pixels that end properly but before the last row; wrong checksums and flags."""

import struct
import zlib

import numpy as np
import pytest

from service.errors import Reason, ServiceError
from service.intake.decode import DecodeOptions, decode, decode_picture
from service.intake.limits import PictureLimits
from service.intake.notes import Note
from tests.support.data.pictures import encode, quarters

LIMITS = PictureLimits()
HEIGHT, WIDTH = 9, 12
GREY = np.random.default_rng(1).integers(1, 256, (HEIGHT, WIDTH), np.uint8)
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PALETTE = bytes((10, 20, 30, 0, 200, 100, 50, 0))  # as BMP has it: blue, green, red


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def grey_png(rows: bytes, interlaced: bool = False) -> bytes:
    header = struct.pack(">II5B", WIDTH, HEIGHT, 8, 0, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def filtered(pixels: np.ndarray, interlaced: bool = False) -> bytes:
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in PASSES] if interlaced else [pixels]
    return b"".join(b"\0" + row.tobytes() for part in passes for row in part)


def run_lengths(runs: bytes) -> bytes:
    start = 14 + 40 + len(PALETTE)
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(runs), 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + info + PALETTE + runs


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_whose_pixels_end_before_the_last_row_is_refused_and_never_black(interlaced: bool) -> None:
    rows = filtered(GREY, interlaced)
    assert (decode(grey_png(rows, interlaced), LIMITS)[:, :, 0] == GREY).all()
    for length in (1, 20, len(rows) // 2, len(rows) - WIDTH, len(rows) - 1):
        with pytest.raises(ServiceError) as refused:
            decode(grey_png(rows[:length], interlaced), LIMITS)
        assert refused.value.reason is Reason.IMAGE_DAMAGED


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_whose_last_rows_are_black_is_whole(interlaced: bool) -> None:
    dark = GREY.copy()
    dark[-4:] = 0
    assert (decode(grey_png(filtered(dark, interlaced), interlaced), LIMITS)[:, :, 0] == dark).all()


def test_of_a_png_whose_pixels_end_early_the_part_that_is_there_is_used_where_that_is_allowed() -> None:
    found = decode_picture(grey_png(filtered(GREY)[: 5 * (WIDTH + 1)]), LIMITS, DecodeOptions(partial=True))
    assert found.notes == (Note.PICTURE_INCOMPLETE,)
    assert (found.pixels[:5, :, 0] == GREY[:5]).all()
    assert (found.pixels[5:] == 255).all()


def test_run_lengths_that_leave_the_last_rows_out_show_the_first_colour_there() -> None:
    shown = decode(run_lengths(b"\x0c\x01\0\0" + b"\0\2\3\1" + b"\2\1" + b"\0\1"), LIMITS)
    expected = np.full((HEIGHT, WIDTH), 30)
    expected[HEIGHT - 1] = expected[HEIGHT - 3, 3:5] = 50  # from the bottom
    assert (shown[:, :, 0] == expected).all()


def test_run_lengths_that_are_cut_short_are_refused() -> None:
    with pytest.raises(ServiceError) as refused:
        decode(run_lengths(b"\x0c\x01\0\0" * (HEIGHT - 2)), LIMITS)
    assert refused.value.reason is Reason.IMAGE_DAMAGED


def test_a_png_that_is_too_large_says_so_even_where_its_check_sum_is_wrong() -> None:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5BI", 13, b"IHDR", 30_000, 30_000, 8, 2, 0, 0, 0, 0)
    with pytest.raises(ServiceError) as refused:
        decode(header, LIMITS)
    assert refused.value.reason is Reason.IMAGE_TOO_MANY_PIXELS


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT"])
def test_a_png_with_a_wrong_check_sum_is_refused(name: bytes) -> None:
    content = bytearray(grey_png(filtered(GREY)))
    at = content.index(name)
    length = int.from_bytes(content[at - 4 : at], "big")
    content[at + 4 + length] ^= 1
    with pytest.raises(ServiceError) as refused:
        decode(bytes(content), LIMITS)
    assert refused.value.reason is Reason.IMAGE_DAMAGED


def test_what_the_header_of_a_webp_does_not_announce_does_not_count() -> None:
    exif = b"II" + struct.pack("<HIHHHIHHI", 42, 8, 1, 0x112, 3, 1, 6, 0, 0)
    content = bytearray(encode(quarters(), "WEBP", lossless=True, exif=exif))
    assert decode(bytes(content), LIMITS).shape == (80, 60, 3)
    content[20] &= ~0x08
    assert decode(bytes(content), LIMITS).shape == (60, 80, 3)
