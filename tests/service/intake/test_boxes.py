"""AVIF, HEIC, JPEG XL and TIFF headers built field by field, with their tags and code points."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.intake.formats import Format
from service.intake.headers.code_points import coded_encoding
from service.intake.headers.header import Encoding, Header, exactly, riff_chunks
from service.intake.headers.isobmff import missing_of_boxes, probe_avif, probe_heic
from service.intake.headers.jxl import probe_jxl
from service.intake.headers.tiff import probe_tiff
from service.intake.headers.tiff_tags import exif_orientation, first_directory

INVALID = (ValueError, IndexError, struct.error)
WIDE = 1 << 31 | 5  # a number that half of its bytes do not hold


# ---- boxes of AVIF and HEIC


def box(kind: bytes, content: bytes = b"", *, long: bool = False) -> bytes:
    if long:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), kind) + content


def sides(width: int, height: int) -> bytes:
    return box(b"ispe", struct.pack(">III", 0, width, height))


def picture(
    properties: Sequence[bytes], owned: dict[int, Sequence[int]], primary: int = 1, *,
    wide_items: bool = False, wide_numbers: bool = False, long: bool = False, beside: bytes = b"",
) -> bytes:  # fmt: skip
    """A file with these properties. `owned`: their numbers, from 1, by item."""
    item = ">I" if wide_items else ">H"
    entries = b"".join(
        struct.pack(item, n)
        + bytes([len(numbers)])
        # the highest bit says that the property is essential, and is no part of its number
        + b"".join(struct.pack(">H", 0x8000 | m) if wide_numbers else bytes([0x80 | m]) for m in numbers)
        for n, numbers in owned.items()
    )
    version = b"\1" if wide_items else b"\0"
    flags = version + b"\0\0" + (b"\1" if wide_numbers else b"\0")
    association = box(b"ipma", flags + struct.pack(">I", len(owned)) + entries)
    held = box(b"iprp", box(b"ipco", b"".join(properties), long=long) + association)
    pitm = box(b"pitm", version + b"\0\0\0" + struct.pack(item, primary))
    meta = box(b"meta", bytes(4) + beside + pitm + held, long=long)
    return box(b"ftyp", b"avif") + box(b"free", bytes(5), long=long) + meta + struct.pack(">I4s", 0, b"mdat")


@given(st.integers(1, 2**31), st.integers(1, 2**31), st.booleans(), st.booleans(), st.booleans())
def test_the_primary_item_has_the_sides_of_its_own_property(
    width: int, height: int, wide_items: bool, wide_numbers: bool, long: bool
) -> None:
    primary = 70_000 if wide_items else 700
    number = 300 if wide_numbers else 100
    properties = [sides(1, 1)] * (number - 1) + [sides(width, height)]
    owned: dict[int, Sequence[int]] = {5: [1, 2], primary: [number], 6: [3]}
    shape: dict[str, Any] = {"wide_items": wide_items, "wide_numbers": wide_numbers, "long": long}
    content = picture(properties, owned, primary, **shape)
    assert probe_avif(content) == Header(Format.AVIF, width, height)
    assert probe_heic(content) == Header(Format.HEIC, width, height)


@pytest.mark.parametrize(("angle", "turned"), [(0, False), (1, True), (2, False), (3, True)])
def test_a_turn_by_a_quarter_exchanges_the_sides_of_the_item_that_has_it(angle: int, turned: bool) -> None:
    properties = [sides(30, 20), box(b"irot", bytes([angle]))]
    header = probe_heic(picture(properties, {1: [1, 2]}))
    assert (header.width, header.height) == ((20, 30) if turned else (30, 20))
    header = probe_heic(picture(properties, {1: [1], 2: [2]}))
    assert (header.width, header.height) == (30, 20)


def test_a_tile_may_be_as_large_as_its_picture_and_no_larger() -> None:
    for tile in ((30, 20), (30, 30), (1, 30)):
        assert probe_avif(picture([sides(30, 20), sides(*tile)], {1: [1], 2: [2]})).width == 30
    for tile in ((31, 1), (1, 31)):
        with pytest.raises(ValueError):
            probe_avif(picture([sides(30, 20), sides(*tile)], {1: [1], 2: [2]}))


def test_properties_that_are_not_there_count_for_nothing() -> None:
    assert probe_avif(picture([sides(30, 20)], {1: [0, 1, 2, 99]})).width == 30
    header = probe_avif(picture([box(b"colr")], {1: [0, 2]}))
    assert (header.width, header.height) == (0, 0)


def test_colours_are_a_profile_or_code_points_of_the_primary_item() -> None:
    def colours(*said: bytes) -> tuple[bytes | None, Encoding | None]:
        properties = [sides(3, 2), *(box(b"colr", s) for s in said), box(b"free", b"profno")]
        header = probe_avif(picture(properties, {1: range(1, len(properties) + 1)}))
        return header.profile, header.encoding

    points = b"nclx" + struct.pack(">HHHB", 1, 4, 1, 0x80)
    assert colours() == (None, None)
    assert colours(b"prof" + b"a profile") == (b"a profile", None)
    assert colours(b"rICC" + b"a profile") == (b"a profile", None)
    assert colours(points) == (None, Encoding(2.2))
    assert colours(points, b"prof" + b"both") == (b"both", Encoding(2.2))
    assert colours(b"else" + b"\0\1\0\4") == (None, None)


@pytest.mark.parametrize("lost", [b"meta", b"iprp", b"ipco", b"pitm", b"ipma"])
def test_a_file_that_lacks_a_box_is_refused(lost: bytes) -> None:
    content = picture([sides(3, 2)], {1: [1]})
    assert content.count(lost) == 1
    with pytest.raises(ValueError):
        probe_avif(content.replace(lost, b"free"))


def test_a_primary_item_without_properties_is_refused() -> None:
    with pytest.raises(INVALID):
        probe_avif(picture([sides(3, 2)], {2: [1]}))


def test_a_box_that_is_longer_than_what_it_lies_in_is_refused() -> None:
    within = picture([sides(3, 2)], {1: [1]}, beside=struct.pack(">I4s", 1 << 20, b"free"))
    whole = picture([sides(3, 2)], {1: [1]}, beside=box(b"free"))
    assert probe_avif(whole).width == 3
    with pytest.raises(ValueError):
        probe_avif(within)
    for size in (7, 4, 2):  # shorter than its own head
        with pytest.raises(ValueError):
            probe_avif(picture([sides(3, 2)], {1: [1]}, beside=struct.pack(">I4s", size, b"free")))


def test_how_much_of_the_last_box_is_missing_is_reported() -> None:
    for long in (False, True):
        content = box(b"ftyp", b"avif") + box(b"mdat", bytes(100), long=long)
        assert missing_of_boxes(content) == 0
        for missing in (1, 50, 99):
            assert missing_of_boxes(content[:-missing]) == missing
        assert missing_of_boxes(content + bytes(7)) == 0
    assert missing_of_boxes(b"") == 0
    assert missing_of_boxes(box(b"ftyp") + struct.pack(">I4s", 0, b"mdat") + bytes(9)) == 0  # to the end of the file
    assert missing_of_boxes(struct.pack(">I4s", 7, b"ftyp") + bytes(4)) == 0
    assert missing_of_boxes(struct.pack(">I4s", 9, b"ftyp")) == 1


# ---- JPEG XL


class Bits:
    """Writes numbers, lowest bit first."""

    def __init__(self) -> None:
        self._number = self._count = 0

    def put(self, number: int, count: int) -> Bits:
        self._number |= number << self._count
        self._count += count
        return self

    def stream(self) -> bytes:
        return b"\xff\x0a" + self._number.to_bytes(40, "little")


def jxl_side(bits: Bits, side: int, small: bool) -> None:
    if small:
        bits.put(side // 8 - 1, 5)
    else:
        selector = next(n for n, width in enumerate((9, 13, 18, 30)) if side <= 1 << width)
        bits.put(selector, 2).put(side - 1, (9, 13, 18, 30)[selector])


def jxl(width: int, height: int, *, small: bool = False, ratio: int = 0, orientation: int | None = None) -> bytes:
    bits = Bits().put(int(small), 1)
    jxl_side(bits, height, small)
    bits.put(ratio, 3)
    if not ratio:
        jxl_side(bits, width, small)
    if orientation is None:
        return bits.put(1, 1).stream()
    return bits.put(0, 1).put(1, 1).put(orientation - 1, 3).stream()


any_side = st.one_of(st.integers(1, 1 << 30), st.sampled_from([512, 513, 8192, 8193, 1 << 18, (1 << 18) + 1]))


@given(any_side, any_side, st.one_of(st.none(), st.integers(1, 8)))
def test_the_sides_of_a_jxl_are_as_shown(width: int, height: int, orientation: int | None) -> None:
    shown = (height, width) if orientation is not None and orientation >= 5 else (width, height)
    assert probe_jxl(jxl(width, height, orientation=orientation)) == Header(Format.JXL, *shown)


@given(st.integers(1, 32), st.integers(1, 32))
def test_small_sides_of_a_jxl_are_multiples_of_eight(width: int, height: int) -> None:
    assert probe_jxl(jxl(8 * width, 8 * height, small=True)) == Header(Format.JXL, 8 * width, 8 * height)


@pytest.mark.parametrize(("ratio", "width"), [(1, 120), (2, 144), (3, 160), (4, 180), (5, 213), (6, 150), (7, 240)])
def test_the_width_of_a_jxl_may_be_given_by_a_ratio(ratio: int, width: int) -> None:
    for small in (True, False):
        assert probe_jxl(jxl(0, 120, small=small, ratio=ratio)) == Header(Format.JXL, width, 120)


def test_a_jxl_without_a_turn_has_no_orientation_to_read() -> None:
    bits = Bits().put(0, 1)
    jxl_side(bits, 20, small=False)
    bits.put(0, 3)
    jxl_side(bits, 30, small=False)
    plain = bits.put(0, 1).put(0, 1).put(7, 3).stream()  # extra fields are not there: what follows is no orientation
    assert probe_jxl(plain) == Header(Format.JXL, 30, 20)


def test_the_codestream_of_a_jxl_is_found_in_its_boxes() -> None:
    stream = jxl(30, 20)
    start = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl ")
    for between in (b"", box(b"Exif", bytes(20)), box(b"Exif", bytes(20), long=True), box(b"free")):
        for long in (False, True):
            assert probe_jxl(start + between + box(b"jxlc", stream, long=long)).width == 30
            assert probe_jxl(start + between + box(b"jxlp", bytes(4) + stream, long=long)).width == 30


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff", b"\xff\x0a", b"\xff\x0b" + bytes(40), jxl(30, 20)[:4], box(b"ftyp", b"jxl "),
        box(b"jxlc", b"\xff\x0b" + bytes(40)), box(b"jxlc"), struct.pack(">I4s", 7, b"free") + bytes(3) + jxl(3, 2),
        struct.pack(">I4s", 0, b"free") * 3,
    ],
)  # fmt: skip
def test_what_has_no_codestream_is_no_jxl(content: bytes) -> None:
    with pytest.raises(ValueError):
        probe_jxl(content)


# ---- TIFF and its tags

CODES = {3: "H", 4: "I", 8: "h", 9: "i", 16: "Q"}


def tiff(
    tags: Sequence[tuple[int, int, int, int]], order: str = "<", *, big: bool = False, start: int = 0, count: int = -1
) -> bytes:
    """`tags`: tag, type, number of values, and the first value, which is stored separately if the values do not fit
    inline."""
    offset, entries, inline = ("Q", "Q", 8) if big else ("I", "H", 4)
    head_bytes = 16 if big else 8
    start = start or head_bytes
    magic = struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
    head = (b"II" if order == "<" else b"MM") + magic + struct.pack(order + offset, start)
    listed, apart = b"", b""
    end = start + struct.calcsize("=" + entries) + len(tags) * (4 + 2 * inline)
    for tag, kind, values, value in tags:
        code = CODES.get(kind, "I")
        content = struct.pack(order + code, value)
        if values * len(content) > inline:
            place = struct.pack(order + offset, end + len(apart))
            apart += content * values
        else:
            place = content.ljust(inline, b"\xee")
        listed += struct.pack(order + "HH" + offset, tag, kind, values) + place
    number = len(tags) if count < 0 else count
    return head.ljust(start, b"\xdd") + struct.pack(order + entries, number) + listed + apart


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_first_value_of_every_field_of_whole_numbers_is_read_where_it_lies(order: str, big: bool) -> None:
    tags = [
        (1, 3, 1, 60_000), (2, 3, 2, 7), (3, 3, 5, 8), (4, 4, 1, WIDE), (5, 4, 2, WIDE - 1), (6, 8, 1, -3),
        (7, 9, 1, -70_000), (8, 16, 1, 1 << 40), (9, 4, 3, 9),
    ]  # fmt: skip
    found = first_directory(tiff(tags, order, big=big, start=40))
    assert found == {tag: value for tag, _, _, value in tags}


def test_other_types_empty_fields_and_repetitions_are_left_out() -> None:
    tags = [(1, 2, 1, 5), (2, 5, 1, 5), (3, 3, 0, 5), (4, 3, 1, 6), (4, 3, 1, 7), (5, 11, 1, 5), (6, 3, 1, 8)]
    assert first_directory(tiff(tags)) == {4: 6, 6: 8}


def test_a_field_that_points_outside_is_left_out_and_the_others_are_not() -> None:
    whole = tiff([(1, 4, 9, 5), (2, 3, 1, 6)])
    assert first_directory(whole) == {1: 5, 2: 6}
    assert first_directory(whole[: 8 + 2 + 24]) == {2: 6}
    assert first_directory(tiff([(1, 3, 1, 5), (2, 3, 1, 6)], count=500)) == {1: 5, 2: 6}


def test_what_is_no_directory_has_no_fields() -> None:
    usual = tiff([(1, 3, 1, 5)])
    for content in (b"", b"II", b"XX" + usual[2:], usual[:9], usual[:4] + b"\xff\xff\xff\xff" + usual[8:]):
        assert first_directory(content) == {}
    big = tiff([(1, 3, 1, 5)], big=True)
    assert first_directory(big[:8] + b"\xff" * 8 + big[16:]) == {}


def test_a_directory_is_read_up_to_512_fields() -> None:
    found = first_directory(tiff([(n, 3, 1, n) for n in range(1, 600)]))
    assert sorted(found) == list(range(1, 513))


@pytest.mark.parametrize("orientation", [None, *range(10)])
def test_a_tiff_is_shown_upright(orientation: int | None) -> None:
    tags = [(256, 3, 1, 30), (257, 4, 1, 20)]
    tags += [] if orientation is None else [(0x0112, 3, 1, orientation)]
    header = probe_tiff(tiff(tags))
    shown = (20, 30) if orientation in (5, 6, 7, 8) else (30, 20)
    assert header == Header(Format.TIFF, *shown)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_tiff_without_a_side_is_refused(lost: int) -> None:
    tags = [(256, 3, 1, 30), (257, 4, 1, 20)]
    del tags[lost]
    with pytest.raises(KeyError):
        probe_tiff(tiff(tags))


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_the_orientation_is_that_of_the_first_block_that_says_one(prefix: bytes) -> None:
    def block(orientation: int) -> bytes:
        return prefix + tiff([(0x0112, 3, 1, orientation)], ">")

    assert exif_orientation([]) == 1
    for orientation in range(1, 9):
        assert exif_orientation([block(orientation)]) == orientation
    for none in (0, 9, 65_535):
        assert exif_orientation([block(none)]) == 1
    assert exif_orientation([block(9), block(6), block(3)]) == 6
    assert exif_orientation([prefix + b"nonsense", block(3)]) == 3


def test_a_block_of_exif_may_come_in_parts() -> None:
    whole = tiff([(1, 3, 1, 5), (0x0112, 3, 1, 6)], ">", start=100)
    for cut in (50, 101, 105, len(whole) - 1):
        assert exif_orientation([b"Exif\0\0" + whole[:cut], b"Exif\0\0" + whole[cut:]]) == 6


# ---- code points, and how bytes are looked at


def test_code_points_are_those_of_the_standard() -> None:
    assert coded_encoding(1, 13) == Encoding()
    assert {t: e.gamma for t in range(20) if (e := coded_encoding(1, t))} == {
        1: 0.0, 4: 2.2, 5: 2.8, 6: 0.0, 8: 1.0, 13: 0.0, 14: 0.0, 15: 0.0,
    }  # fmt: skip
    white = (0.3127, 0.3290)
    assert {p: e.primaries for p in range(30) if (e := coded_encoding(p, 13))} == {
        1: (),
        5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *white),  # BT.601, 625 lines
        6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *white),  # BT.601, 525 lines
        9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *white),  # BT.2020
        12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *white),  # Display P3
    }


def test_exactly_as_many_bytes_are_taken_as_are_wanted() -> None:
    assert exactly(b"abcd", 1, 2) == b"bc"
    assert exactly(memoryview(b"abcd"), 2, 2) == b"cd"
    assert exactly(b"abcd", 4, 0) == b""
    for at, count in ((3, 2), (4, 1), (-1, 1), (-2, 2)):
        with pytest.raises(ValueError):
            exactly(b"abcd", at, count)


def test_chunks_of_a_riff_file_begin_at_even_places_and_end_with_the_file() -> None:
    content = b"head" + b"odd " + struct.pack("<I", 3) + b"abc\0" + b"even" + struct.pack("<I", 4) + b"abcd"
    cut = content + b"last" + struct.pack("<I", 1000) + b"abc"
    assert list(riff_chunks(content, 4, 9)) == [(b"odd ", 12, 3), (b"even", 24, 4)]
    assert list(riff_chunks(cut, 4, 9)) == [(b"odd ", 12, 3), (b"even", 24, 4), (b"last", 36, 3)]
    assert list(riff_chunks(cut, 4, 2)) == [(b"odd ", 12, 3), (b"even", 24, 4)]
    assert list(riff_chunks(content + bytes(7), 4, 9))[2:] == []
    assert list(riff_chunks(content + b"none" + bytes(4), 4, 9))[2:] == [(b"none", 36, 0)]
