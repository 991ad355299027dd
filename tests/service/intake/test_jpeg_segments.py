"""Segments and scans of JPEG files that are put together byte by byte, against what was put in."""

from __future__ import annotations

import struct
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.intake.headers.jpeg import (
    JpegDetails,
    all_scans_are_there,
    count_scans,
    next_marker,
    probe_jpeg,
    without_cut_segment,
)
from tests.support.data.pictures import encode, noise

INVALID = (ValueError, IndexError, struct.error)
START, END = b"\xff\xd8", b"\xff\xd9"
ENTROPY = b"\x12\xff\0\x34\xff\xd0\x56\xff\xd7\xff\0"  # with stuffed bytes and restarts
WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))
Scan = tuple[list[int], int, int, int]  # components, first and last coefficient, bits that are left


def segment(marker: int, content: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def frame(kind: int, components: list[int]) -> bytes:
    listed = b"".join(bytes([c, 0x11, 1]) for c in components)
    return segment(kind, struct.pack(">BHHB", 8, 200, 300, len(components)) + listed)


def scan(components: list[int], first: int, last: int, bits: int, before: int = 0) -> bytes:
    listed = b"".join(bytes([c, 0x53]) for c in components)
    return segment(0xDA, bytes([len(components)]) + listed + bytes([first, last, before << 4 | bits])) + ENTROPY


def is_whole(components: list[int], scans: list[Scan]) -> bool:
    """Whether the last scan of each coefficient of each component leaves no bits."""
    last_bits = {
        (c, k): bits for listed, first, last, bits in scans for c in listed for k in range(first, min(last, 63) + 1)
    }
    return all(last_bits.get((c, k), 1) == 0 for c in components for k in range(64))


# ---- scans

ids = st.lists(st.integers(0, 255), min_size=1, max_size=4, unique=True)


@settings(max_examples=40)
@given(st.data(), ids)
def test_a_progressive_jpeg_is_whole_once_every_coefficient_is_down_to_its_last_bit(
    data: st.DataObject, components: list[int]
) -> None:
    usual: list[Scan] = [(components, 0, 0, 1), *(([c], 1, 63, 2) for c in components), (components, 0, 0, 0)]
    usual += [([c], 1, 20, 0) for c in components] + [
        ([c], 21, data.draw(st.sampled_from([63, 64, 255])), 0) for c in components
    ]
    scans = data.draw(
        st.one_of(st.just(usual), st.permutations(usual), st.just(usual[: data.draw(st.integers(0, len(usual)))]))
    )
    content = (
        START
        + segment(0xFE, b"x")
        + frame(0xC2, components)
        + b"".join(segment(0xC4, b"table") + scan(*s, before=data.draw(st.integers(0, 15))) for s in scans)
    )
    assert all_scans_are_there(content) is is_whole(components, scans)
    assert count_scans(content) == len(scans)


@pytest.mark.parametrize("kind", [0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF])
def test_scans_that_miss_one_coefficient_of_one_component_are_not_whole(kind: int) -> None:
    components = [7, 200, 0]
    for lost in components:
        for first, last in ((0, 62), (1, 63), (1, 62)):
            scans: list[Scan] = [([c], *((first, last) if c == lost else (0, 63)), 0) for c in components]
            content = START + frame(kind, components) + b"".join(scan(*s) for s in scans)
            assert not all_scans_are_there(content)
    whole = START + frame(kind, components) + scan(components, 0, 63, 0)
    assert all_scans_are_there(whole)
    assert all_scans_are_there(whole + scan([9], 0, 63, 1))  # of a component that the picture does not have
    assert not all_scans_are_there(whole + scan([0], 63, 63, 1))
    assert not all_scans_are_there(START + frame(kind, components))
    four = START + frame(kind, [7, 200, 9, 0])  # the first coefficient is no component
    assert not all_scans_are_there(four + scan([7, 200, 9], 0, 63, 0))
    assert all_scans_are_there(four + scan([7, 200, 9], 0, 63, 0) + scan([0], 0, 63, 0))
    assert not all_scans_are_there(START + scan(components, 0, 63, 0))
    assert not all_scans_are_there(whole.replace(frame(kind, components), b""))


def test_every_scan_that_pillow_writes_is_needed() -> None:
    for picture in (noise(1, 40, 30), noise(1, 40, 30).convert("L")):
        whole = encode(picture, "JPEG", progressive=True)
        starts = [n for n in range(len(whole)) if whole.startswith(b"\xff\xda", n)]
        assert count_scans(whole) == len(starts) > 3
        assert all_scans_are_there(whole)
        for number, start in enumerate(starts):
            assert not all_scans_are_there(whole[:start])
            assert count_scans(whole[:start]) == number


# ---- segments


def test_a_segment_that_is_cut_is_removed_wherever_it_is_cut() -> None:
    segments = [
        segment(0xE0, b"first"), segment(0xFE), b"\xff\xff" + segment(0xDB, bytes(70))[1:], segment(0xC8, b"\xff\xc0"),
        b"\xff\x01", b"\xff\xd0", b"\xff\xd7", segment(0xD8, b"ab"), segment(0xCF, b"abc"), segment(0x02, b"a"),
        scan([1], 0, 63, 0), segment(0xC4, bytes(300)),
    ]  # fmt: skip
    content = START + b"".join(segments)
    expected, at = {}, 2
    for part in segments:
        marker = next(n for n in range(1, len(part)) if part[n] != 0xFF)
        size = 2 + marker - 1
        if part[marker] not in WITHOUT_LENGTH:
            size += struct.unpack_from(">H", part, marker + 1)[0]
        for length in range(at, at + len(part)):
            told = length - at
            is_cut = part[marker] not in WITHOUT_LENGTH and marker < told < size
            expected[length] = at + marker - 1 if is_cut else length
        at += len(part)
    for length, end in expected.items():
        assert without_cut_segment(content[:length]) == content[:end], length
    assert without_cut_segment(content) == content


def test_what_comes_after_the_end_of_the_image_is_no_part_of_it() -> None:
    content = START + frame(0xC2, [1]) + END + scan([1], 0, 63, 0)
    assert count_scans(content) == 0
    assert not all_scans_are_there(content)
    assert without_cut_segment(content + b"\xff\xc4\xff\xff") == content + b"\xff\xc4\xff\xff"


def test_markers_without_a_length_are_passed_over_and_no_others() -> None:
    for marker in (*range(1, 0xC0), *WITHOUT_LENGTH, 0xC4, 0xC8, 0xCC, 0xD8, *range(0xDB, 0xFF)):
        alone = marker in WITHOUT_LENGTH
        # read as a length, what follows a marker without one would reach beyond the file
        before = bytes([0xFF, marker]) if alone else segment(marker, b"\xff\xda\0\1")
        content = START + before + frame(0xC0, [1]) + scan([1], 0, 63, 0)
        assert probe_jpeg(content).width == 300
        assert count_scans(content) == 1


@pytest.mark.parametrize("length", [0, 1])
def test_a_segment_shorter_than_its_own_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError):
        probe_jpeg(START + b"\xff\xfe" + struct.pack(">H", length) + frame(0xC0, [1]) + scan([1], 0, 63, 0))
    assert probe_jpeg(START + b"\xff\xfe\0\2" + frame(0xC0, [1]) + scan([1], 0, 63, 0)).height == 200


def test_the_header_is_looked_for_in_4096_segments() -> None:
    rest = frame(0xC0, [1]) + scan([1], 0, 63, 0)
    assert probe_jpeg(START + segment(0xFE) * 4094 + rest).width == 300
    assert probe_jpeg(START + b"\xff\x01" * 4094 + rest).width == 300
    for filler in (segment(0xFE), b"\xff\x01"):
        with pytest.raises(ValueError):
            probe_jpeg(START + filler * 4095 + rest)
    assert count_scans(START + segment(0xDA) * 4097) == 4096


def test_the_next_marker_is_found_behind_whatever_belongs_to_no_segment() -> None:
    for passed in (0, 1, 2, 65_534, 65_535, 65_536, 65_537, 131_072, 140_000):
        for between in (b"", b"\xff\0", b"\xff\0\xff\0a", b"\xff\xff"):
            content = b"a" * passed + between + b"\xff\xc0rest"
            assert next_marker(content, 0) == content.index(b"\xff\xc0")
            assert next_marker(memoryview(content), 0) == content.index(b"\xff\xc0")
    for content in (b"", b"abc", b"\xff", b"\xff\xff", b"ab\xff\0", b"a" * 70_000):
        with pytest.raises(IndexError):
            next_marker(content, 0)
    assert probe_jpeg(START + b"ab" + frame(0xC0, [1, 2]) + scan([1], 0, 63, 0)).details == JpegDetails(
        2, False, False, 4
    )


# ---- profiles


def profile_of(*parts: tuple[int, int, bytes]) -> tuple[bytes | None, bool]:
    segments = [segment(0xE2, b"ICC_PROFILE\0" + bytes([n, count]) + content) for n, count, content in parts]
    header = probe_jpeg(START + b"".join(segments) + frame(0xC0, [1]) + scan([1], 0, 63, 0))
    return header.profile, header.profile_damaged


def test_parts_of_a_profile_are_joined_by_their_numbers_in_whatever_order_they_come() -> None:
    parts = [(1, 3, b"a"), (2, 3, b"bc"), (3, 3, b"")]
    for order in permutations(parts):
        assert profile_of(*order) == (b"abc", False)
        assert profile_of(*order, (4, 3, b"more"), (0, 3, b"none"), (2, 3, b"again")) == (b"abc", False)
        for missing in range(3):
            assert profile_of(*(part for part in order if part[0] != missing + 1)) == (None, True)
    assert profile_of((1, 1, b"")) == (b"", False)
    assert profile_of((0, 0, b"a")) == (None, True)
    assert profile_of((1, 2, b"a"), (2, 1, b"b")) == (b"ab", False)  # the first part says how many there are
    assert profile_of((1, 1, b"a"), (2, 2, b"b")) == (b"a", False)


def test_profile_and_orientation_lie_in_their_own_segments_alone() -> None:
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    for marker in (0xC4, 0xDB, *range(0xE0, 0xF0), 0xFE):
        content = segment(marker, exif) + segment(marker, b"ICC_PROFILE\0\1\1p") + frame(0xC0, [1])
        header = probe_jpeg(START + content + scan([1], 0, 63, 0))
        assert header.orientation == (6 if marker == 0xE1 else 1)
        assert header.profile == (b"p" if marker == 0xE2 else None)


@pytest.mark.parametrize(
    "name", [b"ICC_PROFILF\0", b"ICC_PROFILD\0", b"MPF\0data\0\0\0\0", b"A", b"\xff" * 12, b"icc_profile\0"]
)
def test_a_segment_of_another_name_is_no_profile_and_no_exif(name: bytes) -> None:
    exif = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    others = [b"Exig\0\0", b"Exih\0\0", b"Exif\0\1", b"http:\0", b"\xff" * 6, b"A" * 6]
    content = b"".join(segment(0xE1, other + exif) for other in others) + segment(0xE2, name + b"\1\1profile")
    header = probe_jpeg(START + content + frame(0xC0, [1]) + scan([1], 0, 63, 0))
    assert (header.orientation, header.profile, header.profile_damaged) == (1, None, False)
