"""Boxes of AVIF and HEIC in any order and at any place, against what was put in; tags and bits at their edges."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError

import pytest

from service.intake.formats import Format
from service.intake.headers.header import Encoding, Header
from service.intake.headers.isobmff import missing_of_boxes, probe_avif
from service.intake.headers.jxl import probe_jxl
from service.intake.headers.tiff_tags import exif_orientation, first_directory

INVALID = (ValueError, IndexError, struct.error)


def box(kind: bytes, content: bytes = b"", *, form: str = "short") -> bytes:
    """`form`: "short", "long" (a size of eight bytes) or "open" (to the end of what is around)."""
    if form == "long":
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I4s", 0 if form == "open" else 8 + len(content), kind) + content


def sides(width: int, height: int) -> bytes:
    return box(b"ispe", struct.pack(">III", 0, width, height))


def associations(
    owned: Sequence[tuple[int, Sequence[int]]], *, wide_items: bool, wide_numbers: bool, flags: int = 0
) -> bytes:
    entries = b"".join(
        struct.pack(">I" if wide_items else ">H", item) + bytes([len(numbers)])
        + b"".join(struct.pack(">H" if wide_numbers else ">B", n) for n in numbers)
        for item, numbers in owned
    )  # fmt: skip
    return box(b"ipma", bytes([wide_items, 0, flags, wide_numbers]) + struct.pack(">I", len(owned)) + entries)


def primary(item: int, version: int = 0) -> bytes:
    return box(b"pitm", bytes([version, 1, 1, 1]) + struct.pack(">I" if version else ">H", item))


def file(*parts: bytes, form: str = "short") -> bytes:
    return box(b"ftyp", b"avif") + box(b"meta", b"\1\2\3\4" + b"".join(parts), form=form)


@pytest.mark.parametrize("wide_items", [False, True])
@pytest.mark.parametrize("wide_numbers", [False, True])
def test_properties_are_those_that_are_associated_with_the_primary_item(wide_items: bool, wide_numbers: bool) -> None:
    chance = random.Random(5)
    refused = 0
    for _ in range(40):
        content, expected = made_by_chance(chance, wide_items, wide_numbers)
        if expected is None:
            refused += 1
            with pytest.raises(ValueError):
                probe_avif(content)
        else:
            assert probe_avif(content) == expected
    assert 0 < refused < 20


def made_by_chance(chance: random.Random, wide_items: bool, wide_numbers: bool) -> tuple[bytes, Header | None]:
    """A file and its header; None where a tile is larger than the picture."""
    count = chance.choice([1, 3, 8, 127] + [300] * wide_numbers)
    kinds = chance.choices(["sides", "profile", "turn", "other"], k=count)
    made: dict[str, Callable[[int], bytes]] = {
        "sides": lambda n: sides(1000 + n, 1400 - n), "profile": lambda n: box(b"colr", b"prof" + b"p" * n),
        "turn": lambda n: box(b"irot", bytes([n & 3 | 0xFC])), "other": lambda n: box(b"free", b"colrprof" * (n % 3)),
    }  # fmt: skip
    properties = [made[kind](n) for n, kind in enumerate(kinds, 1)]
    items = chance.sample(range(1, 100_000 if wide_items else 65_535), chance.randint(1, 6))
    owned = [(item, chance.choices(range(count + 1), k=chance.randint(0, 7))) for item in items]
    chosen, own = chance.choice(owned)
    own += [n for n, kind in enumerate(kinds, 1) if kind == "sides"][:: chance.choice([-1, 1])][:1]
    essential = 0x8000 if wide_numbers else 0x80
    written = [(item, [n | essential * ((n + item) % 2) for n in numbers]) for item, numbers in owned]
    held = [
        box(b"ipco", b"".join(properties), form=chance.choice(["short", "long"])),
        associations(written, wide_items=wide_items, wide_numbers=wide_numbers, flags=chance.choice([0, 1, 255])),
        box(b"free", b"x" * chance.randint(0, 5)),
    ]
    within = [
        primary(chosen, version=1 if chosen > 65_535 else chance.randint(0, 1)),
        box(b"iprp", b"".join(chance.sample(held, 3))),
        box(b"free", b"x" * chance.randint(0, 5)),
    ]
    content = file(*chance.sample(within, 3), form=chance.choice(["short", "long", "open"]))

    there = [n for n in own if n]
    all_sides = [(1000 + n, 1400 - n) for n in range(1, count + 1) if kinds[n - 1] == "sides"]
    shown = max(((1000 + n, 1400 - n) for n in there if kinds[n - 1] == "sides"), default=(0, 0))
    if any(max(tile) > max(shown) for tile in all_sides):
        return content, None
    if any(kinds[n - 1] == "turn" and n & 1 for n in there):
        shown = shown[1], shown[0]
    profiles = [b"p" * n for n in there if kinds[n - 1] == "profile"]
    return content, Header(Format.AVIF, *shown, profile=profiles[-1] if profiles else None)


def test_items_and_boxes_are_read_up_to_4096() -> None:
    def with_items(before: int) -> bytes:
        owned = [(n, [1]) for n in range(2, before + 2)] + [(1, [1])]
        held = box(b"iprp", box(b"ipco", sides(30, 20)) + associations(owned, wide_items=False, wide_numbers=False))
        return file(primary(1), held)

    def with_boxes(before: int) -> bytes:
        held = box(
            b"iprp", box(b"ipco", sides(30, 20)) + associations([(1, [1])], wide_items=False, wide_numbers=False)
        )
        return file(*[box(b"free")] * before, primary(1), held)

    assert probe_avif(with_items(4095)).width == 30
    assert probe_avif(with_boxes(4094)).width == 30
    for content in (with_items(4096), with_boxes(4095)):
        with pytest.raises(INVALID):
            probe_avif(content)
    assert missing_of_boxes(box(b"free") * 4095 + struct.pack(">I4s", 9, b"mdat")) == 1
    assert missing_of_boxes(box(b"free") * 4096 + struct.pack(">I4s", 9, b"mdat")) == 0


def test_a_box_may_be_empty_and_end_with_what_it_lies_in() -> None:
    held = box(b"iprp", associations([(1, [1])], wide_items=False, wide_numbers=False) + box(b"ipco"))
    header = probe_avif(file(primary(1), held))
    assert (header.width, header.height) == (0, 0)
    for form in ("short", "long", "open"):
        last = associations([(1, [1])], wide_items=False, wide_numbers=False) + box(b"ipco", sides(30, 20), form=form)
        assert probe_avif(file(primary(1), box(b"iprp", last, form=form), form=form)).width == 30
    for missing in range(1, 21):  # a box that is cut is no picture
        with pytest.raises(INVALID):
            probe_avif(file(primary(1), held)[:-missing])


def test_how_much_is_missing_is_known_once_a_box_has_said_its_size() -> None:
    for form, head in (("short", 8), ("long", 16)):
        whole = box(b"ftyp", b"avif") + box(b"free", form=form) + box(b"mdat", bytes(50), form=form)
        start = len(whole) - 50 - head
        for length in range(start, len(whole) + 1):
            missing = len(whole) - length if length >= start + head else 0
            assert missing_of_boxes(whole[:length]) == missing, (form, length)
    assert missing_of_boxes(struct.pack(">I4sQ", 1, b"mdat", 8) + b"ab") == 0
    assert missing_of_boxes(struct.pack(">I4sQ", 1, b"mdat", 7) + b"ab") == 0
    assert missing_of_boxes(struct.pack(">I4sQ", 1, b"mdat", (1 << 40) + 16)) == 1 << 40
    assert missing_of_boxes(box(b"ftyp") + struct.pack(">I4s", 8, b"free") + struct.pack(">I4s", 20, b"mdat")) == 12


# ---- JPEG XL


def jxl(*fields: tuple[int, int]) -> bytes:
    """Numbers and how many bits each takes, the lowest first."""
    number = place = 0
    for value, bits in fields:
        number, place = number | value << place, place + bits
    return b"\xff\x0a" + number.to_bytes((place + 7) // 8, "little")


def test_a_jxl_needs_all_bits_of_its_head_and_no_more() -> None:
    for orientation in range(8):
        content = jxl((0, 1), (3, 2), (2**30 - 1, 30), (0, 3), (3, 2), (4, 30), (0, 1), (1, 1), (orientation, 3))
        shown = (2**30, 5) if orientation >= 4 else (5, 2**30)
        assert probe_jxl(content) == Header(Format.JXL, *shown)
        for length in range(len(content)):
            with pytest.raises(ValueError):
                probe_jxl(content[:length])
    assert probe_jxl(jxl((1, 1), (2, 5), (0, 3), (1, 5), (1, 1))) == Header(Format.JXL, 16, 24)
    assert probe_jxl(jxl((1, 1), (2, 5), (0, 3), (1, 5), (0, 1), (0, 1))) == Header(Format.JXL, 16, 24)
    with pytest.raises(ValueError):
        probe_jxl(jxl((0, 1), (0, 2)))
    exact = jxl((0, 1), (0, 2), (19, 9), (1, 3), (1, 1))  # sixteen bits
    assert len(exact) == 4
    assert probe_jxl(exact) == Header(Format.JXL, 20, 20)


def test_the_codestream_of_a_jxl_is_looked_for_in_256_boxes() -> None:
    stream = jxl((1, 1), (2, 5), (0, 3), (1, 5), (1, 1))
    for form in ("short", "long"):
        assert probe_jxl(box(b"free", form=form) * 255 + box(b"jxlc", stream, form=form)).width == 16
        with pytest.raises(ValueError):
            probe_jxl(box(b"free", form=form) * 256 + box(b"jxlc", stream))
        for inside in range(6):
            assert probe_jxl(box(b"Exif", bytes(inside), form=form) + box(b"jxlp", bytes(4) + stream)).height == 24
    assert probe_jxl(box(b"jxlc", stream, form="open")).width == 16
    with pytest.raises(ValueError):
        probe_jxl(struct.pack(">I4sQ", 1, b"free", 7) + box(b"jxlc", stream))


# ---- tags


def directory(order: str, kind: int, values: int, content: bytes, *, big: bool = False) -> bytes:
    """A directory with one field, whose values lie behind it where they are too many."""
    offset, entries, inline = ("Q", "Q", 8) if big else ("I", "H", 4)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8)
    listed = struct.pack(order + entries + "HH" + offset, 1, 0x0112, kind, values)
    end = len(head) + len(listed) + inline
    place = content.ljust(inline, b"\xaa") if len(content) <= inline else struct.pack(order + offset, end)
    return head + listed + place + content


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "code"), [(3, "H"), (4, "I"), (8, "h"), (9, "i"), (16, "Q")])
def test_values_lie_in_their_field_as_long_as_they_fit(order: str, big: bool, kind: int, code: str) -> None:
    for values in range(1, 6):
        content = struct.pack(order + code, 6) + struct.pack(order + code, 3) * (values - 1)
        block = directory(order, kind, values, content, big=big)
        assert first_directory(block) == {0x0112: 6}
        assert first_directory(block[: len(block) - len(content) + struct.calcsize(order + code)]) == {0x0112: 6}
        assert exif_orientation([b"Exif\0\0" + block]) == 6
    for other in (0, 1, 2, 5, 6, 7, 10, 11, 12, 13, 15, 17, 18):
        assert first_directory(directory(order, other, 1, b"\6\0\0\0", big=big)) == {}
    assert first_directory(directory(order, kind, 0, b"\6\0\0\0", big=big)) == {}


def test_the_order_of_bytes_is_one_of_two() -> None:
    block = directory("<", 3, 1, b"\6\0")
    for start in (b"IM", b"MI", b"ii", b"I", b"", b"I\0"):
        assert first_directory(start + block[2:]) == {}
    assert exif_orientation([block[:-4]]) == 6
    assert exif_orientation([b"Exif\0" + block]) == 1
    assert exif_orientation([directory(">", 8, 1, struct.pack(">h", -1))]) == 1


def test_headers_are_compared_without_details_and_shown_without_their_profile() -> None:
    one = Header(Format.AVIF, 3, 2, profile=b"a profile", details="one")
    assert one == Header(Format.AVIF, 3, 2, profile=b"a profile", details="other")
    assert one != Header(Format.AVIF, 3, 2, profile=b"another", details="one")
    assert "profile=" not in repr(one)
    assert "details" not in repr(one)
    assert Header(Format.AVIF, 3, 2) == Header(Format.AVIF, 3, 2, 1, None, False, None, None)
    assert Encoding() == Encoding(0.0, ())
    for value in (one, Encoding()):
        with pytest.raises(FrozenInstanceError):
            value.width = 5  # type: ignore[union-attr,misc]
