"""Seeded damage to real pictures: flipped bits, removed and repeated parts, changed lengths, parts of other
pictures."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.data.pictures import encode, noise
from tests.support.made_pictures import bmps, coloured, gifs, lossy, optional, pngs, profiles, turned

FEEDS = Path(__file__).parents[1] / "data" / "feeds"
_EVERY = 6  # of the made pictures, of which many differ little
_INTERESTING = (b"\x00\x00", b"\xff\xff", b"\x7f\xff", b"\x80\x00", b"\xff\xd8", b"\xff\xda", b"IDAT", b"\xff" * 8)


def seeds() -> list[bytes]:
    """Small pictures of every format and of all kinds that codecs treat differently."""
    rgba, grey, palette = noise(2).convert("RGBA"), noise(3).convert("L"), noise(4).convert("P")
    return [
        encode(noise(0), "JPEG"), encode(noise(1), "JPEG", progressive=True), encode(grey, "JPEG"),
        encode(noise(5).convert("CMYK"), "JPEG"), encode(noise(1), "PNG"), encode(rgba, "PNG"), encode(grey, "PNG"),
        encode(palette, "PNG"), encode(noise(6), "PNG", interlace=1), encode(noise(1), "WEBP"),
        encode(rgba, "WEBP", lossless=True), encode(palette, "GIF"),
        encode(palette, "GIF", save_all=True, append_images=[noise(7).convert("P")]), encode(noise(1), "BMP"),
        encode(palette, "BMP"), encode(noise(8).convert("1"), "BMP"), *made_seeds(),
    ]  # fmt: skip


def made_seeds() -> list[bytes]:
    """The sub-formats, colours and orientations of the corpus."""
    made = [m.content for maker in (pngs, bmps, gifs, coloured, turned, lossy) for m in maker.all_kinds()]
    return made[::_EVERY]


def starts(target: str) -> list[bytes]:
    """The initial inputs of a target of the harness."""
    if target == "profile":
        return profile_seeds()
    if target == "feed":
        return [p.read_bytes() for p in sorted(FEEDS.glob("*/*")) if p.name != "expected.json"]
    others = [made.content for made in optional.all_kinds()] if target in ("optional", "partial") else []
    return others if target == "optional" else [*seeds(), *others]


def profile_seeds() -> list[bytes]:
    """ICC profiles by matrix, by one curve and by a table."""
    matrices = [profiles.matrix_profile(space, version) for space in profiles.SPACES for version in (2, 4)]
    table = profiles.table_profile(b"RGB ", 3, lambda rgb: rgb * [100, 60, 60], 3)
    return [*matrices, profiles.grey_profile(2.2), profiles.grey_profile(1.8, 4), table]


def mutated(count: int, seed: int) -> Iterator[bytes]:
    """Damaged pictures; the same seed gives the same ones."""
    rng, pictures = random.Random(seed), seeds()
    for _ in range(count):
        yield _mutate(rng, rng.choice(pictures), pictures)


def _mutate(rng: random.Random, picture: bytes, others: Sequence[bytes]) -> bytes:
    content = bytearray(picture)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(min(len(content), rng.choice((64, 512, 1 << 30))))
        kind = rng.randrange(7)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at] = rng.randrange(256)
        elif kind == 2:
            part = rng.choice(_INTERESTING)
            content[at : at + len(part)] = part
        elif kind == 3:
            del content[at : at + rng.choice((1, 4, 100, 1 << 20))]
        elif kind == 4:
            content[at:at] = content[at : at + rng.choice((1, 16, 500))]
        elif kind == 5:
            content[at : at + 4] = rng.randrange(1 << 32).to_bytes(4, rng.choice(("big", "little")))
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            content[at : at + 200] = other[start : start + 200]
        if not content:
            return b""
    return bytes(content)
