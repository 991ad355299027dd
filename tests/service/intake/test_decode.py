import io
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from index import Region
from service.errors import Reason, ServiceError
from service.intake.colour import SrgbVerdicts
from service.intake.decode import crop, decode
from service.intake.limits import PictureLimits
from tests.support.data.pictures import encode, noise, quarters
from tests.support.made_pictures.made import drawing
from tests.support.made_pictures.profiles import matrix_profile

LIMITS = PictureLimits()
CORNERS = ((5, 5), (5, -5), (-5, 5), (-5, -5))
EXPECTED = ((255, 0, 0), (0, 0, 255), (0, 255, 0), (0, 0, 0))


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(int(v) for v in pixels[y, x]) for y, x in CORNERS]


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGB", {}), ("PNG", "P", {}), ("PNG", "RGBA", {}), ("GIF", "RGB", {}), ("BMP", "RGB", {}),
        ("WEBP", "RGB", {"lossless": True}), ("WEBP", "RGB", {}), ("JPEG", "RGB", {"quality": 95}),
        ("JPEG", "RGB", {"quality": 95, "progressive": True}), ("JPEG", "CMYK", {"quality": 95}),
    ],
)  # fmt: skip
def test_every_format_gives_the_same_upright_rgb_pixels(kind: str, mode: str, options: dict[str, Any]) -> None:
    pixels = decode(encode(quarters().convert(mode), kind, **options), LIMITS)
    assert pixels.shape == (60, 80, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(np.array(corners(pixels)) - np.array(EXPECTED)).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone_the_same_way_in_every_format(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(quarters(), kind, exif=exif, **options)
    expected = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    pixels = decode(content, LIMITS)
    assert pixels.shape == expected.shape
    assert np.abs(np.array(corners(pixels)) - np.array(corners(expected))).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_what_is_transparent_becomes_white_and_hidden_colours_do_not_show(kind: str) -> None:
    picture = quarters().convert("RGBA")
    alpha = np.zeros((60, 80), np.uint8)
    alpha[:, :40] = 255
    picture.putalpha(Image.fromarray(alpha))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = decode(encode(picture, kind, **options), LIMITS)
    assert corners(pixels) == [(255, 0, 0), (255, 255, 255), (0, 255, 0), (255, 255, 255)]


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16"])
def test_grey_pictures_of_any_depth_become_rgb(mode: str) -> None:
    if mode == "I;16":
        ramp = np.linspace(0, 65535, 4800).astype(np.uint16).reshape(60, 80)
        pixels = decode(encode(Image.fromarray(ramp)), LIMITS)
        assert np.abs(pixels[..., 0].astype(int) - ramp // 257).max() <= 1
    else:
        pixels = decode(encode(quarters().convert(mode)), LIMITS)
    assert pixels.shape == (60, 80, 3)
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    pixels = decode(encode(frames[0], kind, save_all=True, append_images=frames[1:]), LIMITS)
    assert pixels[10, 10, 0] > 250
    assert pixels[10, 10, 2] < 5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_picture_cut_short_anywhere_fails_with_a_typed_error(kind: str) -> None:
    whole = encode(noise(3), kind)
    for length in {*range(0, len(whole) - 2, max(1, len(whole) // 60)), 3, 12, 30}:
        with pytest.raises(ServiceError) as caught:
            decode(whole[:length], LIMITS)
        assert caught.value.reason.name.startswith("IMAGE_")


def test_a_picture_with_too_many_bytes_is_refused_before_anything_else() -> None:
    with pytest.raises(ServiceError) as caught:
        decode(b"\xff\xd8\xff" + bytes(LIMITS.max_bytes), LIMITS)
    assert caught.value.reason is Reason.IMAGE_TOO_LARGE


@pytest.mark.parametrize("name", ["RADIANCE", "EXR", "SVG"])
def test_formats_with_dangerous_readers_never_reach_opencv(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, hdr = cv2.imencode(".hdr", np.ones((4, 4, 3), np.float32))
    content = {"RADIANCE": hdr.tobytes(), "EXR": b"\x76\x2f\x31\x01" + bytes(50), "SVG": b"<svg></svg>"}[name]
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("reached OpenCV"))
    with pytest.raises(ServiceError) as caught:
        decode(content, LIMITS)
    assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED


def test_a_region_is_cut_out_of_the_upright_picture() -> None:
    pixels = decode(encode(quarters()), LIMITS, Region(0.5, 0, 1, 0.5))
    assert pixels.shape == (30, 40, 3)
    assert (pixels == (0, 0, 255)).all()


def test_the_smallest_region_is_still_a_pixel() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    assert crop(pixels, Region(0.999, 0.999, 1.0, 1.0)).shape == (1, 1, 3)
    assert crop(pixels, Region(0.0, 0.0, 1e-9, 1e-9)).shape == (1, 1, 3)


@given(
    orientation=st.integers(1, 8),
    enough=st.integers(8, 60),
    edges=st.tuples(*[st.floats(0, 1, allow_nan=False)] * 4),
)
@settings(max_examples=60)
def test_a_region_of_a_turned_picture_is_the_same_in_scaled_decoding(
    orientation: int, enough: int, edges: tuple[float, ...]
) -> None:
    left, right = sorted(edges[:2])
    top, bottom = sorted(edges[2:])
    assume(right - left > 0.05 and bottom - top > 0.05)
    region = Region(left, top, right, bottom)
    content = turned_jpeg(orientation)
    full, scaled = decode(content, LIMITS, region), decode(content, LIMITS, region, enough)
    ratio = max(full.shape[:2]) / max(scaled.shape[:2])  # the longer side is the less rounded one
    factor = min((1, 2, 4, 8), key=lambda scale: abs(scale - ratio))  # those of the format
    assert min(scaled.shape[:2]) >= min(enough, min(full.shape[:2])) - 1
    assert factor >= 8 or min(full.shape[:2]) < 2 * factor * enough + 2 * factor  # as small as it may be
    small = cv2.resize(full, scaled.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - scaled).mean() < 8


@lru_cache
def turned_jpeg(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(Image.fromarray(drawing(640, 160)), "JPEG", quality=95, exif=exif)


def test_a_region_of_a_picture_on_its_side_is_scaled_by_the_region_s_own_shorter_side() -> None:
    """Stored 640 x 160, shown 160 x 640: an eighth of the height leaves 80 of 640 rows."""
    assert decode(turned_jpeg(6), LIMITS, Region(0, 0, 1, 0.125), 40).shape == (40, 80, 3)
    assert decode(turned_jpeg(1), LIMITS, Region(0, 0, 0.125, 1), 40).shape == (80, 40, 3)


def test_a_region_reaches_to_the_end_of_every_pixel_that_it_touches() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    assert crop(pixels, Region(0.0, 0.0, 0.51, 0.61)).shape == (7, 6, 3)
    assert crop(pixels, Region(0.49, 0.39, 1.0, 1.0)).shape == (7, 6, 3)


def test_a_jpeg_of_more_than_eight_bits_is_refused_by_name() -> None:
    content = bytearray(encode(noise(1), "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ServiceError, match="12 bits per sample") as caught:
        decode(bytes(content), LIMITS)
    assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED


def test_what_is_kept_of_a_profile_is_a_digest() -> None:
    verdicts = SrgbVerdicts()
    assert verdicts.is_srgb(matrix_profile("sRGB"))
    assert verdicts.is_srgb(matrix_profile("sRGB", 4))
    assert not verdicts.is_srgb(matrix_profile("Display P3"))
    assert all(len(digest) == 16 for digest in verdicts._known)
