"""Pictures for tests, made with a library other than the one under test."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def noise(seed: int, width: int = 120, height: int = 90) -> Image.Image:
    """Coloured noise in large patches, different for each seed."""
    random = np.random.default_rng(seed)
    patches = random.integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC)


def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture as the bytes of a file."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def png(seed: int) -> bytes:
    """A PNG that looks different for each seed."""
    return encode(noise(seed))


def quarters() -> Image.Image:
    """Red, blue over green, black, so that any rotation or mirroring is visible."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:30, :40], pixels[:30, 40:], pixels[30:, :40] = (255, 0, 0), (0, 0, 255), (0, 255, 0)
    return Image.fromarray(pixels)
