"""The edges of what headers may say: one more, one less, and what a second decoder reads."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.intake.formats import Format
from service.intake.headers.bmp import BmpDetails, probe_bmp
from service.intake.headers.gif import GifDetails, probe_gif
from service.intake.headers.header import Encoding, Header
from service.intake.headers.jpeg import JpegDetails
from service.intake.headers.png import PngDetails, probe_png
from service.intake.headers.webp import WebpDetails, probe_webp
from service.intake.limits import PictureLimits

INVALID = (ValueError, IndexError, struct.error)


def details(header: Header) -> Any:
    """The details for the decoder of the format."""
    return header.details


# ---- GIF


def gif(table: int, between: bytes = b"", frame: tuple[int, int, int, int] = (1, 2, 3, 4), packed: int = 0) -> bytes:
    """`table`: the three bits of its size; -1: there is none. Its bytes look like blocks."""
    flags = 0x70 if table < 0 else 0xF0 | table
    colours = b"" if table < 0 else (b"\x2c\1\1\1\1\1\1\1\1\1\1\1" * 64)[: 3 * 2 ** (table + 1)]
    screen = struct.pack("<HHBBB", 9, 8, flags, 0, 0)
    return b"GIF89a" + screen + colours + between + b"\x2c" + struct.pack("<HHHHB", *frame, packed)


@pytest.mark.parametrize("table", range(-1, 8))
def test_the_first_frame_of_a_gif_comes_after_a_table_of_any_size(table: int) -> None:
    for between in (
        b"",
        b"\0",
        b"\0\0\0",
        b"\x21\xfe\0",
        b"\x21\xf9\4\x2c\x2c\x2c\x2c\0",
        b"\x21\x01\1\x2c\2\x2c\x2c\0",
    ):
        assert probe_gif(gif(table, between)).details == GifDetails(1, 2, 3, 4, False)


def test_a_gif_without_a_table_has_none_whatever_size_its_flags_give_it() -> None:
    for flags in range(0x80):
        told = bytearray(gif(-1))
        told[10] = flags
        assert probe_gif(bytes(told)).details == GifDetails(1, 2, 3, 4, False)


def test_the_screen_of_a_gif_grows_by_what_its_frame_needs_and_no_more() -> None:
    for frame, sides in (
        ((0, 0, 9, 8), (9, 8)), ((1, 0, 9, 8), (10, 8)), ((0, 1, 9, 8), (9, 9)), ((5, 6, 1, 1), (9, 8)),
        ((300, 500, 1, 1), (301, 501)), ((0, 0, 1, 1), (9, 8)),
    ):  # fmt: skip
        assert probe_gif(gif(-1, frame=frame)) == Header(Format.GIF, *sides)
    for packed in range(256):
        assert details(probe_gif(gif(-1, packed=packed))).interlaced is bool(packed & 0x40)
    for frame in ((0, 0, 0, 4), (0, 0, 5, 0), (2, 2, 0, 0)):
        with pytest.raises(ValueError):
            probe_gif(gif(-1, frame=frame))


def test_a_gif_has_the_profile_of_an_extension_with_the_whole_name() -> None:
    def block(label: int, *parts: bytes) -> bytes:
        return bytes([0x21, label]) + b"".join(bytes([len(p)]) + p for p in parts) + b"\0"

    name = b"ICCRGBG1012"
    long = bytes(n % 255 for n in range(700))
    for content in ((b"p",), (), (long[:255], long[255:510], long[510:])):
        assert probe_gif(gif(-1, block(0xFF, name, *content))).profile == b"".join(content)
    assert probe_gif(gif(-1, block(0xFF, name) + block(0xFF, name, b"second"))).profile == b""
    for label, other in ((0xFE, name), (0xF9, name), (0xFF, b"ICCRGBG1013"), (0xFF, b"xCCRGBG1012"), (0xFF, name[:10])):
        assert probe_gif(gif(-1, block(label, other, b"profile"))).profile is None


def test_the_frame_of_a_gif_is_looked_for_in_65_536_blocks() -> None:
    assert probe_gif(gif(-1, bytes(65_535))).width == 9
    with pytest.raises(ValueError):
        probe_gif(gif(-1, bytes(65_536)))
    parts = b"\x21\xfe" + b"\1a" * 65_535 + b"\0"
    assert probe_gif(gif(-1, parts)).width == 9
    with pytest.raises(ValueError):
        probe_gif(gif(-1, b"\x21\xfe" + b"\1a" * 65_536 + b"\0"))


# ---- PNG


def chunk(kind: bytes, content: bytes = b"", wrong: int = 0) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) ^ wrong)


def png(*chunks: bytes, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    head = struct.pack(">II5B", 300, 200, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks)


def colours_of(*chunks: bytes) -> tuple[bytes | None, bool, Encoding | None]:
    header = probe_png(png(*chunks))
    return header.profile, header.profile_damaged, header.encoding


GAMMA = chunk(b"gAMA", struct.pack(">I", 50_000))


@pytest.mark.parametrize("spare", [-1, 1])
def test_colour_chunks_of_a_png_count_only_at_their_exact_length(spare: int) -> None:
    def of_length(kind: bytes, content: bytes) -> bytes:
        return chunk(kind, (content + b"\0")[: len(content) + spare])

    assert colours_of(GAMMA, of_length(b"cHRM", struct.pack(">8I", *range(1, 9)))) == (None, False, Encoding(2.0))
    assert colours_of(of_length(b"gAMA", struct.pack(">I", 50_000))) == (None, False, None)
    assert colours_of(GAMMA, of_length(b"cICP", bytes((1, 8, 0, 1)))) == (None, False, Encoding(2.0))


def test_code_points_of_a_png_come_first_where_they_are_known() -> None:
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(b"profile"))
    assert colours_of(profile, GAMMA, chunk(b"cICP", bytes((1, 8, 0, 1)))) == (None, False, Encoding(1.0))
    assert colours_of(profile, GAMMA, chunk(b"cICP", bytes((8, 1, 0, 1)))) == (b"profile", False, None)
    assert colours_of(GAMMA, chunk(b"sRGB", b"\0"), chunk(b"cICP", bytes((1, 4, 0, 1)))) == (None, False, Encoding(2.2))
    assert colours_of(chunk(b"iCCP", b"name\0\0"), chunk(b"sRGB", b"\0")) == (None, True, None)
    assert colours_of(chunk(b"gAMA", struct.pack(">I", 1))) == (None, False, Encoding(1 / (1 / 100_000)))


def test_a_profile_of_a_png_is_read_up_to_four_mebibytes() -> None:
    for size in ((4 << 20) - 1, 4 << 20, (4 << 20) + 1):
        profile = probe_png(png(chunk(b"iCCP", b"a name\0\0" + zlib.compress(bytes(size), 1)))).profile
        assert profile is not None
        assert len(profile) == min(size, 4 << 20)
    assert colours_of(chunk(b"iCCP", b"n\0\0" + zlib.compress(b""))) == (None, True, None)
    for packed in (b"", b"\0", b"\0\1", b"n\0", b"n" * 79, b"n\0\2" + zlib.compress(b"p")):
        assert colours_of(chunk(b"iCCP", packed)) == (None, True, None)


def test_a_palette_is_needed_by_pictures_with_indices_alone() -> None:
    for colour in (0, 2, 4, 6):
        assert details(probe_png(png(colour=colour))).palette == b""
        assert details(probe_png(png(chunk(b"PLTE", b"abc"), colour=colour))).palette == b"abc"
    with pytest.raises(ValueError):
        probe_png(png(colour=3))


def test_a_png_is_read_up_to_65_536_chunks_and_to_its_last_whole_one() -> None:
    filler = chunk(b"teXt")
    end = chunk(b"IEND")
    assert probe_png(png(filler * 65_534, end)).width == 300
    with pytest.raises(ValueError):
        probe_png(png(filler * 65_535, end))
    for rest in range(1, 8):
        assert probe_png(png(chunk(b"IDAT", b"abc")) + bytes(rest)).width == 300
    with pytest.raises(ValueError):
        probe_png(png() + struct.pack(">I4s", 1, b"IDAT"))
    empty = png() + struct.pack(">I4s", 0, b"IDAT")
    assert details(probe_png(empty)) == PngDetails(8, 2, False, b"", None, ((41, 0),))
    cut = details(probe_png(png() + struct.pack(">I4s", 1, b"IDAT"), partial=True))
    assert (cut.pixels, cut.cut) == (((41, 0),), True)


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"IDAT"])
def test_a_wrong_sum_of_a_chunk_that_the_pixels_need_is_reported(kind: bytes) -> None:
    content = png(chunk(b"PLTE", b"abc"), chunk(b"IDAT", b"pixels"), chunk(b"tRNS", b"x"))
    at = content.index(kind)
    length = struct.unpack_from(">I", content, at - 4)[0]
    assert not details(probe_png(content)).broken
    for place in range(4):
        sums = at + 4 + length + place
        broken = content[:sums] + bytes([content[sums] ^ 1]) + content[sums + 1 :]
        assert details(probe_png(broken)).broken
        if kind == b"IDAT":
            assert not details(probe_png(broken[: at + 4 + length + 3])).broken  # of a sum that is cut, nothing is said
    for place in range(length):
        inside = at + 4 + place
        if kind != b"IHDR":
            assert details(probe_png(content[:inside] + b"?" + content[inside + 1 :])).broken
    after = content.index(b"tRNS") + 5
    assert not details(probe_png(content[:after] + bytes(4))).broken


@pytest.mark.parametrize("place", range(4))
def test_a_png_begins_with_its_head(place: int) -> None:
    content = bytearray(png())
    content[12 + place] ^= 1
    with pytest.raises(ValueError):
        probe_png(bytes(content))


# ---- WebP


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(k + struct.pack("<I", len(c)) + c + b"\0" * (len(c) & 1) for k, c in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize("side", [1, 2, 255, 256, 257, 0x1FFF, 0x2000, 0x3FFF])
def test_sides_of_a_webp_have_fourteen_bits_or_twenty_four(side: int) -> None:
    for width, height in ((side, 5), (5, side), (side, side)):
        lossy = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width | 0xC000, height | 0x4000)
        assert probe_webp(webp((b"VP8 ", lossy))) == Header(Format.WEBP, width, height)
        lossless = struct.pack("<BI", 0x2F, (width - 1) | (height - 1) << 14 | 0xF0000000)
        assert probe_webp(webp((b"VP8L", lossless))) == Header(Format.WEBP, width, height)
        for far in (0, 1 << 14, 1 << 23):
            head = bytes(4) + (width + far - 1).to_bytes(3, "little") + (height + far - 1).to_bytes(3, "little")
            assert probe_webp(webp((b"VP8X", head))) == Header(Format.WEBP, width + far, height + far)


@pytest.mark.parametrize("mark", [0x00, 0x2E, 0x30, 0xFF])
def test_a_webp_of_another_mark_is_refused(mark: int) -> None:
    with pytest.raises(ValueError):
        probe_webp(webp((b"VP8L", struct.pack("<BI", mark, 5))))
    for place in range(3):
        start = bytearray(b"\x9d\x01\x2a")
        start[place] ^= mark or 1
        with pytest.raises(ValueError):
            probe_webp(webp((b"VP8 ", bytes(3) + start + struct.pack("<HH", 5, 5))))
    for kind in (b"VP8K", b"VP8M", b"VP8W", b"VP8Y", b"VP8!", b"VP8\0", b"ALPH", b"\0\0\0\0", b"\xff" * 4):
        with pytest.raises(ValueError):
            probe_webp(webp((kind, bytes(20))))


@pytest.mark.parametrize("flag", range(8))
def test_each_flag_of_a_webp_stands_for_one_thing(flag: int) -> None:
    exif = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    head = bytes([1 << flag, 0, 0, 0]) + bytes(6)
    header = probe_webp(webp((b"VP8X", head), (b"ICCP", b"p"), (b"ICCP", b"q"), (b"EXIF", exif)))
    assert header.orientation == (6 if flag == 3 else 1)
    assert header.profile == (b"p" if flag == 5 else None)
    assert details(header).animated is (flag == 1)


def test_chunks_of_a_webp_are_read_up_to_4096() -> None:
    head = (b"VP8X", bytes([0x20, 0, 0, 0]) + bytes(6))
    filler = (b"none", b"")
    assert probe_webp(webp(head, *[filler] * 4094, (b"ICCP", b"p"))).profile == b"p"
    assert probe_webp(webp(head, *[filler] * 4095, (b"ICCP", b"p"))).profile is None


# ---- BMP


def bmp(size: int, bits: int, rest: bytes, compression: int = 0, colours: int = 0, start: int = 0) -> bytes:
    """A header of `size` bytes whose fields after the first 40 are `rest`."""
    body = struct.pack("<iiHHIIiiII", 5, 4, 1, bits, compression, 0, 0, 0, colours, 0) + rest
    return b"BM" + struct.pack("<IIII", 0, 0, start, size) + body[: size - 4].ljust(size - 4, b"\0")


XYZ = (0.4, 0.2, 0.1, 0.3, 0.6, 0.2, 0.1, 0.1, 0.7)


def calibrated(space: bytes, gamma: float, points: tuple[float, ...] = XYZ, size: int = 108) -> Encoding | None:
    rest = bytes(16) + space + struct.pack("<9i3I", *(int(p * 2**30) for p in points), *[int(gamma * 65536)] * 3)
    return probe_bmp(bmp(size, 24, rest)).encoding


def test_end_points_of_a_bmp_count_where_its_colour_space_is_calibrated() -> None:
    for size in (108, 112, 124):
        assert calibrated(bytes(4), 2.0, size=size) is not None
        for space in (b"BGRs", b" niW", b"\1\0\0\0", b"\0\0\0\1", b"\0\1\0\0", b"KNIL"):
            assert calibrated(space, 2.0, size=size) is None
    for size in (104, 107, 56, 40):
        assert calibrated(bytes(4), 2.0, size=size) is None
    for gamma, counts in ((0.5, False), (1.0, True), (4.0, True), (4.0001, False), (0.9999, False)):
        assert (calibrated(bytes(4), gamma) is not None) is counts


@pytest.mark.parametrize("row", range(3))
def test_end_points_of_a_bmp_without_a_sum_above_zero_count_for_nothing(row: int) -> None:
    for values, counts in (
        ((0.0, 0.0, 0.0), False),
        ((0.5, 0.25, -0.75), False),
        ((0.5, 0.5, -0.75), True),
        ((-0.1, 0, 0), False),
    ):
        points = (*XYZ[: 3 * row], *values, *XYZ[3 * row + 3 :])
        found = calibrated(bytes(4), 2.0, points)
        assert found is not None
        assert bool(found.primaries) is counts


def test_a_profile_of_a_bmp_lies_where_its_header_says() -> None:
    for size, tag, told in (
        (124, b"DEBM", True),
        (128, b"DEBM", True),
        (120, b"DEBM", False),
        (123, b"DEBM", False),
        (124, b"DEBN", False),
    ):
        rest = bytes(16) + tag + bytes(48) + struct.pack("<IIII", 0, 130, 7, 0)
        content = bmp(size, 24, rest).ljust(14 + 130, b"-") + b"profile and more"
        header = probe_bmp(content)
        assert header.profile == (b"profile" if told else None)
        assert header.encoding is None


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize(
    ("size", "compression"), [(40, 3), (52, 3), (55, 3), (56, 3), (40, 6), (52, 6), (64, 0), (16, 0)]
)
def test_masks_of_a_bmp_have_alpha_from_the_third_version_on(bits: int, size: int, compression: int) -> None:
    rest = struct.pack("<IIII", 1, 2, 4, 8)
    content = bmp(size, bits, rest, compression)
    header = probe_bmp(content + (rest if size == 40 else bytes(8)))
    usual = (0x7C00, 0x3E0, 0x1F, 0) if bits == 16 else (0xFF0000, 0xFF00, 0xFF, 0)
    alpha = 8 if (compression == 6 and size == 40) or size >= 56 else 0
    assert details(header).masks == ((1, 2, 4, alpha) if compression else usual)
    behind = {(40, 3): 12, (40, 6): 16}.get((size, compression), 0)
    assert details(header).start == 14 + size + behind


def test_every_field_of_a_bmp_header_is_there_from_its_size_on() -> None:
    for size in range(16, 41):
        content = b"BM" + struct.pack("<IIII", 0, 0, 0, size) + struct.pack("<iiHH", 5, 4, 1, 8)
        content += struct.pack("<IIiiII", 1, 0, 0, 0, 7, 0) + bytes(2000)
        if size >= 20:
            found = details(probe_bmp(content))
            assert found.compression == 1
            assert len(found.palette) == (4 * 7 if size >= 36 else 1024)
        else:
            assert details(probe_bmp(content)).compression == 0
    for size in (0, 11, 13, 14, 15, 1025, 1 << 20):
        content = b"BM" + struct.pack("<IIII", 0, 0, 0, size) + struct.pack("<iiHH", 5, 4, 1, 24) + bytes(2000)
        with pytest.raises(ValueError):
            probe_bmp(content)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_pixels_of_a_bmp_lie_where_pillow_reads_them(mode: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 8, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, "BMP")
    content = out.getvalue()
    found = details(probe_bmp(content))
    with Image.open(io.BytesIO(content)) as picture:
        (tile,) = picture.tile
        assert found.start == tile[2]
        colours = np.array(picture.getpalette() if mode == "P" else [], np.uint8).reshape(-1, 3)
    assert found.bits == {"1": 1, "L": 8, "P": 8, "RGB": 24, "RGBA": 32}[mode]
    stored = np.frombuffer(found.palette, np.uint8).reshape(-1, 4)[: len(colours)]
    assert np.array_equal(stored[:, 2::-1], colours[: len(stored)])


@pytest.mark.parametrize(
    "value",
    [
        BmpDetails(8, 0, (0, 0, 0, 0), b"colours", 54, False), GifDetails(0, 0, 1, 1, False), WebpDetails(False),
        PngDetails(8, 2, False, b"colours", None, ((987, 654),)), JpegDetails(3, False, False, 2), PictureLimits(),
    ],
)  # fmt: skip
def test_details_never_change_and_are_shown_without_what_is_long(value: Any) -> None:
    assert "colours" not in repr(value)
    assert "987" not in repr(value)
    name = next(iter(vars(value)))
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, 1)
