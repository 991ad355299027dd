"""Pictures in colour spaces other than sRGB, by profile, gamma or primaries."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tests.support.made_pictures import profiles
from tests.support.made_pictures.bmps import bmp_with_profile
from tests.support.made_pictures.made import Made, drawing, grey_of
from tests.support.made_pictures.pngs import chunk, png

_PROFILED: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 98, "subsampling": 0},
    "WEBP": {"lossless": True},
    "PNG": {},
}


def all_kinds() -> Iterator[Made]:
    rgb = drawing(seed=5)
    for space in profiles.SPACES:
        stored = np.round(profiles.in_space(rgb, space) * 255).astype(np.uint8)
        for version in (2, 4):
            icc = profiles.matrix_profile(space, version)
            for kind, options in _PROFILED.items():
                content = _saved(Image.fromarray(stored), kind, icc_profile=icc, **options)
                yield Made(f"{kind} in {space}, version {version}", content, rgb, 12, 2.5, pillow=False)
        yield Made(f"bmp 5 in {space}", bmp_with_profile(stored, profiles.matrix_profile(space)), rgb, 12, 2,
                   pillow=False)  # fmt: skip
    yield from _by_table(rgb)
    yield from _grey(rgb)
    yield from _ignored(rgb)
    yield from _gamma(rgb)


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _by_table(rgb: np.ndarray) -> Iterator[Made]:
    def swapped(values: np.ndarray) -> np.ndarray:
        """RGB stored in the order BGR."""
        return profiles.lab_of_xyz(profiles.linear(values[:, ::-1], 0.0) @ profiles.to_d50("sRGB").T)

    icc = profiles.table_profile(b"RGB ", 3, swapped, 33)
    stored = np.ascontiguousarray(rgb[:, :, ::-1])
    yield Made("png by a table", _saved(Image.fromarray(stored), "PNG", icc_profile=icc), rgb, 16, 3, pillow=False)

    def inks(values: np.ndarray) -> np.ndarray:
        light = (1 - values[:, :3]) * (1 - values[:, 3:])
        return profiles.lab_of_xyz(profiles.linear(light, 0.0) @ profiles.to_d50("sRGB").T)

    icc = profiles.table_profile(b"CMYK", 4, inks, 11)
    cmyk = Image.frombytes("CMYK", (37, 23), np.concatenate([255 - rgb, rgb[:, :, :1] * 0], axis=2).tobytes())
    content = _saved(cmyk, "JPEG", quality=98, subsampling=0, icc_profile=icc)
    yield Made("jpeg of inks by a table", content, rgb, 24, 5, pillow=False)
    content = _saved(cmyk, "JPEG", quality=98, subsampling=0)
    yield Made("jpeg of inks", content, rgb, 12, 3)


def _grey(rgb: np.ndarray) -> Iterator[Made]:
    grey = grey_of(rgb)
    shown = np.repeat(grey[:, :, None], 3, axis=2)
    for version in (2, 4):
        for gamma in (1.8, 2.2):
            stored = np.round(profiles.encoded(profiles.linear(grey / 255, 0.0), gamma) * 255).astype(np.uint8)
            icc = profiles.grey_profile(gamma, version)
            for kind, options in (("PNG", {}), ("JPEG", {"quality": 98})):
                content = _saved(Image.fromarray(stored), kind, icc_profile=icc, **options)
                yield Made(f"{kind} in grey of {gamma}, version {version}", content, shown, 12, 2, pillow=False)
    icc = profiles.matrix_profile("sRGB")
    yield Made("grey with a profile of RGB", _saved(Image.fromarray(grey), "PNG", icc_profile=icc), shown)
    for space in ("Adobe RGB", "ProPhoto RGB"):  # applied, as browsers do
        stored = np.round(profiles.in_space(shown, space)[:, :, 0] * 255).astype(np.uint8)
        icc = profiles.matrix_profile(space)
        for kind, options in (("PNG", {}), ("JPEG", {"quality": 98})):
            content = _saved(Image.fromarray(stored), kind, icc_profile=icc, **options)
            yield Made(f"{kind} in grey with {space}", content, shown, 12, 2, pillow=False)


def _ignored(rgb: np.ndarray) -> Iterator[Made]:
    """Unusable profiles: the picture is treated as sRGB."""
    good = profiles.matrix_profile("ProPhoto RGB")
    unusable = {
        "cut": good[:200], "of nothing": b"", "of noise": bytes(range(256)) * 3, "of a printer": profiles.table_profile(
            b"CMYK", 4, lambda v: np.repeat(100 * (1 - v[:, :1]), 3, axis=1) * [1, 0, 0], 2,
        ), "without its tags": profiles.profile(b"RGB ", b"XYZ ", {}, 2), "of grey": profiles.grey_profile(1.0),
    }  # fmt: skip
    for name, icc in unusable.items():
        content = png(rgb.astype(int), 8, 2, before=chunk(b"iCCP", b"x\0\0" + zlib.compress(icc)))
        yield Made(f"png with a profile {name}", content, rgb, pillow=False)
    bad = chunk(b"iCCP", b"x\0\0" + zlib.compress(good)[:-30])
    yield Made("png with a profile that does not inflate", png(rgb.astype(int), 8, 2, before=bad[:8] + bad[8:]), rgb,
               pillow=False)  # fmt: skip


def _gamma(rgb: np.ndarray) -> Iterator[Made]:
    for space, (points, gamma) in profiles.SPACES.items():
        primaries = (points[6], points[7], *points[:6])
        said = chunk(b"cHRM", struct.pack(">8I", *(round(p * 100_000) for p in primaries)))
        said += chunk(b"gAMA", struct.pack(">I", round(100_000 / (gamma or 2.2))))
        for depth in (8, 16):
            most = (1 << depth) - 1
            curve = gamma if space == "sRGB" else gamma or 2.2
            stored = np.round(profiles.in_space(rgb, space, curve) * most).astype(int)
            yield Made(f"png of {depth} bits by primaries of {space}", png(stored, depth, 2, before=said), rgb, 6, 1,
                       pillow=False)  # fmt: skip
    for exponent in (1.0, 1.8):
        stored = np.round(profiles.linear(rgb / 255, 0.0) ** (1 / exponent) * 65_535).astype(int)
        gama = chunk(b"gAMA", struct.pack(">I", round(100_000 / exponent)))
        yield Made(f"png of gamma {exponent}", png(stored, 16, 2, before=gama), rgb, 2, pillow=False)
        overruled = chunk(b"sRGB", b"\0") + gama
        yield Made(f"png of gamma {exponent}, but sRGB", png(rgb.astype(int), 8, 2, before=overruled), rgb)
    for code, space in ((1, "sRGB"), (12, "Display P3")):
        stored = np.round(profiles.in_space(rgb, space) * 255).astype(int)
        said = chunk(b"cICP", bytes((code, 13, 0, 1)))
        yield Made(f"png by code points of {space}", png(stored, 8, 2, before=said), rgb, 6, 1, pillow=False)
