"""Headers built field by field: every field is read at its place, and nothing else is mistaken for it."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Reason, ServiceError
from service.intake.formats import Format
from service.intake.headers.bmp import BmpDetails, probe_bmp
from service.intake.headers.gif import GifDetails, probe_gif
from service.intake.headers.header import Encoding, Header
from service.intake.headers.jpeg import JpegDetails, probe_jpeg
from service.intake.headers.png import PngDetails, probe_png
from service.intake.headers.webp import WebpDetails, probe_webp
from service.intake.limits import PictureLimits

INVALID = (ValueError, IndexError, struct.error)
sides = st.integers(1, 0x3FFF)


def details(header: Header) -> Any:
    """The details for the decoder of the format."""
    return header.details


def exif(orientation: int) -> bytes:
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


# ---- BMP


def bmp(
    size: int, width: int, height: int, bits: int, compression: int = 0, *,
    colours: int = 0, start: int = 0, rest: bytes = b"",
) -> bytes:  # fmt: skip
    """`size` bytes of header after the first 14, and the rest."""
    if size == 12:
        body = struct.pack("<HHHH", width, height, 1, bits)
    else:
        body = struct.pack("<iiHHIIiiII", width, height, 1, bits, compression, 0, 0, 0, colours, 0)
        body = (body + rest)[: size - 4].ljust(size - 4, b"\0") + rest[max(0, size - 40) :]
    return b"BM" + struct.pack("<IIII", 0, 0, start, size) + body


RGB16, RGB32 = (0x7C00, 0x3E0, 0x1F, 0), (0xFF0000, 0xFF00, 0xFF, 0)


@given(sides, sides, st.booleans(), st.sampled_from([16, 40, 52, 56, 64, 108, 124]), st.sampled_from([16, 24, 32]))
def test_a_bmp_of_any_version_has_its_sides_bits_and_usual_masks(
    width: int, height: int, top_down: bool, size: int, bits: int
) -> None:
    rest = struct.pack("<I", 0) * 4 + b"sRGB"  # masks that count for nothing, then no calibration
    header = probe_bmp(bmp(size, width, -height if top_down else height, bits, start=500, rest=rest))
    masks = {16: RGB16, 24: (0, 0, 0, 0), 32: RGB32}[bits]
    assert header == Header(Format.BMP, width, height)
    assert header.details == BmpDetails(bits, 0, masks, b"", 500, top_down)


@pytest.mark.parametrize(("size", "compression"), [(40, 3), (40, 6), (52, 3), (56, 3), (108, 3), (124, 6)])
@pytest.mark.parametrize("bits", [16, 32, 24])
def test_masks_of_a_bmp_are_read_where_its_version_has_them(size: int, compression: int, bits: int) -> None:
    rest = struct.pack("<IIII", 0xF00, 0xF0, 0xF, 0xF000) + b"sRGB"
    details = probe_bmp(bmp(size, 5, 4, bits, compression, rest=rest)).details
    alpha = 0xF000 if size >= 56 or compression == 6 else 0
    masks = (0, 0, 0, 0) if bits == 24 else (0xF00, 0xF0, 0xF, alpha)
    behind = {(40, 3): 12, (40, 6): 16}.get((size, compression), 0)
    assert details == BmpDetails(bits, 0, masks, b"", 14 + size + behind, False)


@pytest.mark.parametrize(("size", "step"), [(12, 3), (40, 4)])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("colours", [0, 1, 2, 300])
def test_a_palette_is_as_long_as_is_said_as_its_pixels_can_use_and_as_fits(
    size: int, step: int, bits: int, colours: int
) -> None:
    raw = bytes(n % 251 for n in range(step * 300))
    count = min(colours or 1 << bits, 1 << bits) if size == 40 else 1 << bits
    for start in (0, 14 + size + step * count, 14 + size + step + 1):
        picture = bmp(size, 5, 4, bits, colours=colours, start=start) + raw
        fit = min(count, (start - 14 - size) // step) if start else count
        four = b"".join(
            raw[n * step : n * step + 3] + (raw[n * 4 + 3 :][:1] if step == 4 else b"\0") for n in range(fit)
        )
        details = probe_bmp(picture).details
        assert details == BmpDetails(bits, 0, (0, 0, 0, 0), four, start or 14 + size + 4 * fit, False)


@pytest.mark.parametrize(
    ("size", "compression", "bits", "said"),
    [
        (40, 1, 8, None), (40, 2, 4, None), (64, 1, 8, None), (40, 1, 4, ""), (40, 2, 8, ""), (40, 7, 24, ""),
        (40, 4, 24, "JPEG"), (40, 5, 24, "PNG"), (40, 11, 32, "CMYK"), (40, 12, 8, "CMYK"), (40, 13, 4, "CMYK"),
        (64, 3, 1, "Huffman"), (64, 4, 24, "24-bit run-length"), (64, 6, 32, ""), (16, 0, 24, None),
    ],
)  # fmt: skip
def test_compressions_of_a_bmp_are_taken_named_or_no_header(
    size: int, compression: int, bits: int, said: str | None
) -> None:
    picture = bmp(size, 5, 4, bits, compression, colours=1) + bytes(8)
    if said is None:
        assert details(probe_bmp(picture)).compression == compression
    elif said:
        with pytest.raises(ServiceError, match=f"with {said} compression") as caught:
            probe_bmp(picture)
        assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED
    else:
        with pytest.raises(ValueError):
            probe_bmp(picture)


def test_a_bmp_of_no_version_or_depth_is_refused() -> None:
    for size in (0, 11, 13, 15, 1025):
        with pytest.raises(INVALID):
            probe_bmp(
                bmp(max(size, 16), 5, 4, 24).replace(struct.pack("<I", max(size, 16)), struct.pack("<I", size), 1)
            )
    for bits in (0, 3, 5, 15, 31, 48):
        with pytest.raises(ValueError):
            probe_bmp(bmp(40, 5, 4, bits))
    with pytest.raises(ValueError):
        probe_bmp(bmp(40, 5, -(2**31), 24))
    assert probe_bmp(bmp(1024, 5, 4, 24, rest=bytes(16) + b"sRGB")).width == 5


def calibrated(points: list[float], gammas: list[float], size: int = 108) -> Header:
    rest = bytes(16) + struct.pack("<I9i3I", 0, *(int(p * 2**30) for p in points), *(int(g * 65536) for g in gammas))
    return probe_bmp(bmp(size, 5, 4, 24, rest=rest))


def test_a_calibrated_bmp_has_the_primaries_and_the_gamma_that_it_says() -> None:
    xyz = [0.4, 0.2, 0.1, 0.3, 0.6, 0.2, 0.1, 0.1, 0.7]
    found = calibrated(xyz, [2.0, 2.5, 3.0]).encoding
    assert found is not None
    rows = [xyz[0:3], xyz[3:6], xyz[6:9], [0.8, 0.9, 1.0]]
    assert found.gamma == pytest.approx(2.5, abs=1e-4)
    assert found.primaries == pytest.approx([part for r in rows for part in (r[0] / sum(r), r[1] / sum(r))], abs=1e-6)
    assert calibrated([0.0] * 9, [1.0] * 3).encoding == Encoding(1.0)
    assert calibrated([0.5, 0.5, -1.0, *xyz[3:]], [4.0] * 3).encoding == Encoding(4.0)
    assert calibrated(xyz, [0.99] * 3).encoding is None
    assert calibrated(xyz, [4.01] * 3).encoding is None
    assert calibrated(xyz, [2.0, 2.5, 3.0], 56).encoding is None


def test_a_profile_is_embedded_in_a_bmp_of_the_last_version_alone() -> None:
    rest = bytes(16) + b"DEBM" + bytes(48) + struct.pack("<IIII", 0, 124, 7, 0) + b"profile and more"
    assert probe_bmp(bmp(124, 5, 4, 24, rest=rest)).profile == b"profile"
    assert probe_bmp(bmp(108, 5, 4, 24, rest=rest)).profile is None


# ---- GIF


def gif(
    width: int, height: int, frame: tuple[int, int, int, int], *, packed: int = 0, table: int = -1, before: bytes = b""
) -> bytes:
    flags = 0 if table < 0 else 0x80 | table
    colours = b"" if table < 0 else b"\x2c" * (3 << table + 1)
    screen = struct.pack("<HHBBB", width, height, flags, 0, 0)
    return b"GIF89a" + screen + colours + before + b"\x2c" + struct.pack("<HHHHB", *frame, packed)


@given(sides, sides, st.tuples(sides, sides, sides, sides), st.sampled_from([0, 0x40, 0x80, 0xBF]), st.integers(-1, 7))
def test_the_screen_of_a_gif_holds_its_first_frame(
    width: int, height: int, frame: tuple[int, int, int, int], packed: int, table: int
) -> None:
    left, top, across, down = frame
    other = b"\x21\xf9\x04" + b"\x2c" * 4 + b"\0" + b"\0\0" + b"\x21\xfe\x03abc\x02de\0"
    header = probe_gif(gif(width, height, frame, packed=packed, table=table, before=other))
    assert header == Header(Format.GIF, max(width, left + across), max(height, top + down))
    assert header.details == GifDetails(left, top, across, down, packed == 0x40)


def test_the_first_profile_of_a_gif_is_taken_and_no_other_application_s() -> None:
    def block(name: bytes, *parts: bytes) -> bytes:
        return b"\x21\xff" + b"".join(bytes([len(p)]) + p for p in (name, *parts)) + b"\0"

    netscape, first, second = (
        block(b"NETSCAPE2.0", b"\1\0\0"),
        block(b"ICCRGBG1012", b"pro", b"file"),
        block(b"ICCRGBG1012", b"x"),
    )
    assert probe_gif(gif(5, 4, (0, 0, 5, 4), before=netscape + first + second)).profile == b"profile"
    assert probe_gif(gif(5, 4, (0, 0, 5, 4), before=netscape)).profile is None


@pytest.mark.parametrize("frame", [(0, 0, 0, 4), (0, 0, 5, 0)])
def test_a_gif_with_an_empty_frame_or_without_one_is_refused(frame: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError):
        probe_gif(gif(5, 4, frame))
    with pytest.raises(IndexError):
        probe_gif(gif(5, 4, (0, 0, 5, 4))[:13])


# ---- PNG


def chunk(kind: bytes, content: bytes = b"", *, wrong: bool = False) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) ^ wrong)


def png(*chunks: bytes, depth: int = 8, colour: int = 2, rest: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">II5B", 300, 200, depth, colour, *rest)) + b"".join(chunks)
    )


DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}


def test_exactly_the_depths_and_methods_of_the_standard_are_taken() -> None:
    palette = chunk(b"PLTE", bytes(6))
    for colour in range(8):
        for depth in (0, 1, 2, 3, 4, 8, 16, 32):
            picture = png(palette, depth=depth, colour=colour)
            if depth in DEPTHS.get(colour, ()):
                assert probe_png(picture).details == PngDetails(depth, colour, False, bytes(6), None, ())
            else:
                with pytest.raises(ValueError):
                    probe_png(picture)
    assert details(probe_png(png(rest=(0, 0, 1)))).interlaced
    for rest in ((1, 0, 0), (0, 1, 0), (0, 0, 2)):
        with pytest.raises(ValueError):
            probe_png(png(rest=rest))
    with pytest.raises(ValueError):
        probe_png(png(colour=3))
    with pytest.raises(ValueError):
        probe_png(png().replace(b"IHDR", b"IHDX"))


def test_chunks_of_a_png_are_found_once_with_the_places_of_its_pixels() -> None:
    picture = png(
        chunk(b"tRNS", b"first"), chunk(b"tRNS", b"second"), chunk(b"eXIf", exif(6)), chunk(b"IDAT", b"abc"),
        chunk(b"teXt", b"x"), chunk(b"IDAT", b"de"), chunk(b"IEND"), chunk(b"IDAT", b"no more"),
    )  # fmt: skip
    header = probe_png(picture)
    assert header == Header(Format.PNG, 300, 200, 6)
    at, second = picture.index(b"abc"), picture.index(b"de")
    assert header.details == PngDetails(8, 2, False, b"", b"first", ((at, 3), (second, 2)))


def test_a_png_that_is_cut_short_is_used_where_parts_are_wanted_and_a_wrong_sum_is_reported() -> None:
    picture = png(chunk(b"IDAT", b"abcdef"))
    at = picture.index(b"abc")
    with pytest.raises(ValueError):
        probe_png(picture[: at + 4])
    assert details(probe_png(picture[: at + 4], partial=True)).pixels == ((at, 4),)
    assert details(probe_png(picture[: at + 4], partial=True)).cut
    assert not details(probe_png(picture[:-4])).broken  # a sum that is cut off is none
    assert not details(probe_png(picture)).cut
    for kind in (b"IDAT", b"PLTE"):
        assert details(probe_png(png(chunk(kind, b"abc", wrong=True), chunk(kind, b"abc")))).broken
    assert not details(probe_png(png(chunk(b"teXt", b"abc", wrong=True)))).broken


def colours_of(*chunks: bytes) -> tuple[bytes | None, bool, Encoding | None]:
    header = probe_png(png(*chunks))
    return header.profile, header.profile_damaged, header.encoding


def test_what_a_png_says_of_its_colours_is_taken_in_the_order_of_the_standard() -> None:
    gamma = chunk(b"gAMA", struct.pack(">I", 50_000))
    primaries = chunk(b"cHRM", struct.pack(">8I", *(n * 1000 for n in range(30, 38))))
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(b"profile"))
    bad = chunk(b"iCCP", b"name\0\0nonsense")
    assert colours_of() == (None, False, None)
    assert colours_of(gamma) == (None, False, Encoding(2.0))
    assert colours_of(gamma, primaries) == (
        None,
        False,
        Encoding(2.0, (0.32, 0.33, 0.34, 0.35, 0.36, 0.37, 0.30, 0.31)),
    )
    assert colours_of(gamma, chunk(b"cHRM", bytes(31))) == (None, False, Encoding(2.0))
    assert colours_of(gamma, primaries, chunk(b"sRGB", b"\0")) == (None, False, None)
    assert colours_of(gamma, profile) == (b"profile", False, None)
    assert colours_of(gamma, bad) == (None, True, Encoding(2.0))
    assert colours_of(bad) == (None, True, None)
    assert colours_of(chunk(b"iCCP", b"name\0\1" + zlib.compress(b"profile"))) == (None, True, None)
    assert colours_of(chunk(b"iCCP", b"name")) == (None, True, None)
    assert colours_of(chunk(b"iCCP", b"\0\0" + zlib.compress(b"profile"))) == (b"profile", False, None)
    assert colours_of(chunk(b"gAMA", bytes(4))) == (None, False, None)
    assert colours_of(chunk(b"gAMA", b"\0\0\xc3")) == (None, False, None)
    coded = colours_of(profile, chunk(b"cICP", bytes((9, 16, 0, 1))))
    assert coded[0] is None or coded[0] == b"profile"


# ---- WebP


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(k + struct.pack("<I", len(c)) + c + b"\0" * (len(c) & 1) for k, c in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@settings(max_examples=50)
@given(sides, sides, st.sampled_from([0, 0x02, 0x08, 0x20, 0x28, 0x3A, 0x10]))
def test_each_kind_of_webp_has_its_sides_and_what_its_flags_say(width: int, height: int, flags: int) -> None:
    lossless = struct.pack("<BI", 0x2F, (width - 1) | (height - 1) << 14 | 0xF << 28)
    assert probe_webp(webp((b"VP8L", lossless))) == Header(Format.WEBP, width, height)
    lossy = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width | 0x4000, height | 0x8000)
    assert probe_webp(webp((b"VP8 ", lossy))) == Header(Format.WEBP, width, height)
    head = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height + 0x10000 - 1).to_bytes(3, "little")
    parts = [(b"VP8X", head), (b"ICCP", b"odd"), (b"ICCP", b"second"), (b"EXIF", exif(8)), (b"VP8 ", lossy)]
    header = probe_webp(webp(*parts))
    profile = b"odd" if flags & 0x20 else None
    assert header == Header(Format.WEBP, width, height + 0x10000, 8 if flags & 0x08 else 1, profile)
    assert header.details == WebpDetails(bool(flags & 0x02))


def test_a_webp_without_the_mark_of_its_kind_is_refused() -> None:
    for parts in ((b"VP8L", b"\x2e" + bytes(4)), (b"VP8 ", bytes(3) + b"\x9d\x01\x2b" + bytes(4)), (b"ALPH", bytes(9))):
        with pytest.raises(ValueError):
            probe_webp(webp(parts))
    for length in range(20, 30):
        with pytest.raises(INVALID):
            probe_webp(webp((b"VP8X", bytes(10)))[:length])


# ---- JPEG


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def frame(kind: int, precision: int = 8, components: int = 3) -> bytes:
    return segment(kind, struct.pack(">BHHB", precision, 200, 300, components) + b"\1\x22\0")


SCAN = segment(0xDA, b"\1\1\0\0\x3f\0")
FRAMES = {k: (k in (0xC2, 0xC6, 0xCA, 0xCE), k >= 0xC9) for k in range(0xC0, 0xD0) if k not in (0xC4, 0xC8, 0xCC)}


@pytest.mark.parametrize("kind", FRAMES)
def test_each_frame_of_a_jpeg_is_known_by_its_marker(kind: int) -> None:
    progressive, arithmetic = FRAMES[kind]
    before = (
        segment(0xFE, b"a comment") + segment(0xC4, b"\xff\xc0 no frame") + segment(0xCC, b"") + b"\xff\xd0\xff\x01"
    )
    header = probe_jpeg(b"\xff\xd8" + before + frame(kind, components=4) + SCAN)
    assert header == Header(Format.JPEG, 300, 200)
    assert header.details == JpegDetails(4, progressive, arithmetic, 2)


def test_bytes_between_the_segments_of_a_jpeg_are_passed_over() -> None:
    header = probe_jpeg(b"\xff\xd8" + b"xx\xff\0yy\xff\xff\xff" + frame(0xC0)[1:] + b"\0" * 70_000 + SCAN)
    assert (header.width, header.details) == (300, JpegDetails(3, False, False, 10))


@pytest.mark.parametrize(
    "content",
    [
        SCAN, frame(0xC0), frame(0xC0) + b"\xff\xd9" + SCAN, b"\xff\xc0\0\1" + SCAN, frame(0xC0)[:8],
        segment(0xC8, b"") + SCAN,
    ],
)  # fmt: skip
def test_a_jpeg_without_a_frame_and_a_scan_is_refused(content: bytes) -> None:
    with pytest.raises(INVALID):
        probe_jpeg(b"\xff\xd8" + content)


@pytest.mark.parametrize("precision", [7, 9, 12])
def test_a_jpeg_of_other_than_8_bits_is_refused_by_its_bits(precision: int) -> None:
    with pytest.raises(ServiceError, match=f"of {precision} bits per sample") as caught:
        probe_jpeg(b"\xff\xd8" + frame(0xC1, precision) + SCAN)
    assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED


def test_orientation_and_profile_of_a_jpeg_are_put_together_from_their_segments() -> None:
    def part(number: int, count: int, content: bytes) -> bytes:
        return segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + content)

    def probed(*segments: bytes) -> Header:
        return probe_jpeg(b"\xff\xd8" + b"".join(segments) + frame(0xC0) + SCAN)

    turned = segment(0xE1, b"Exif\0\0" + exif(7))
    assert probed(segment(0xE1, b"http: xmp"), turned) == Header(Format.JPEG, 300, 200, 7)
    assert probed(part(2, 2, b"file"), part(1, 2, b"pro"), part(1, 2, b"again")).profile == b"profile"
    assert probed(segment(0xE2, b"MPF\0"), segment(0xE2, b"ICC_PROFILE\0\1")) == Header(Format.JPEG, 300, 200)
    for parts in ((part(1, 2, b"pro"),), (part(2, 2, b"file"),), (part(1, 0, b"x"),)):
        header = probed(*parts)
        assert (header.profile, header.profile_damaged) == (None, True)


# ---- limits


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (1, 1, None), (50, 1, None), (51, 1, Reason.IMAGE_RATIO_TOO_EXTREME), (1, 51, Reason.IMAGE_RATIO_TOO_EXTREME),
        (1, 50, None), (0, 5, Reason.IMAGE_DAMAGED), (5, 0, Reason.IMAGE_DAMAGED), (-5, -5, Reason.IMAGE_DAMAGED),
        (100, 60, None), (100, 61, Reason.IMAGE_TOO_MANY_PIXELS), (200, 30, None), (30, 200, None),
        (201, 29, Reason.IMAGE_TOO_MANY_PIXELS), (29, 201, Reason.IMAGE_TOO_MANY_PIXELS),
    ],
)  # fmt: skip
def test_each_limit_of_sides_holds_at_its_edge(width: int, height: int, reason: Reason | None) -> None:
    limits = PictureLimits(max_pixels=6000, max_side=200, max_ratio=50)
    if reason is None:
        limits.check_sides(width, height)
        return
    with pytest.raises(ServiceError) as caught:
        limits.check_sides(width, height)
    assert caught.value.reason is reason


def test_each_limit_of_bytes_holds_at_its_edge_and_the_defaults_are_as_documented() -> None:
    limits = PictureLimits(max_bytes=10, formats=("avif",))
    for size, reason in ((0, Reason.IMAGE_EMPTY), (11, Reason.IMAGE_TOO_LARGE)):
        with pytest.raises(ServiceError) as caught:
            limits.check_bytes(size)
        assert caught.value.reason is reason
    limits.check_bytes(1)
    limits.check_bytes(10)
    usual = PictureLimits()
    assert (usual.max_bytes, usual.max_pixels, usual.max_side, usual.max_ratio) == (16 << 20, 64_000_000, 16_384, 50)
    assert limits.accepted == (*usual.accepted, "avif")
