"""Truncated pictures: rejected, unless partial pictures are allowed."""

import contextlib
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from service.errors import Reason, ServiceError
from service.intake.decode import DecodeOptions, decode, decode_picture
from service.intake.limits import PictureLimits
from service.intake.notes import Note
from tests.support.data.pictures import encode, noise
from tests.support.made_pictures.bmps import all_kinds as all_bmps
from tests.support.made_pictures.heics import tall

LIMITS = PictureLimits(formats=("avif", "heic", "tiff", "jxl"))
PARTIAL = DecodeOptions(partial=True)
KINDS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encode(noise(3, 200, 150), "JPEG", quality=92),
    "jpeg of grey": lambda: encode(noise(3, 200, 150).convert("L"), "JPEG", quality=92),
    "jpeg of inks": lambda: encode(noise(3, 200, 150).convert("CMYK"), "JPEG", quality=92),
    "jpeg with restarts": lambda: encode(noise(3, 200, 150), "JPEG", quality=92, restart_marker_blocks=3),
    "png": lambda: encode(noise(3, 200, 150)),
    "png with alpha": lambda: encode(noise(3, 200, 150).convert("RGBA")),
    "gif": lambda: encode(noise(3, 200, 150), "GIF", interlace=0),
    "bmp": lambda: encode(noise(3, 200, 150), "BMP"),
}  # fmt: skip

SMOOTH = noise(3, 50, 38).resize((400, 300), Image.Resampling.BICUBIC)
TRANSLUCENT = SMOOTH.convert("RGBA")
TRANSLUCENT.putalpha(Image.linear_gradient("L").resize(SMOOTH.size).point(lambda level: 100 + level // 2))
LATER = {"save_all": True, "append_images": [SMOOTH.rotate(180)], "duration": 100}
IN_BLOCKS: dict[str, Callable[[], bytes]] = {
    "webp": lambda: encode(SMOOTH, "WEBP", quality=85),
    "webp without loss": lambda: encode(SMOOTH, "WEBP", lossless=True),
    "webp with alpha": lambda: encode(TRANSLUCENT, "WEBP", quality=85),
    "webp animated": lambda: encode(SMOOTH, "WEBP", quality=85, **LATER),
    "heic": tall,
    "tiff": lambda: encode(SMOOTH, "TIFF"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_part_that_is_there_is_shown_and_the_rest_is_white(kind: str) -> None:
    whole = KINDS[kind]()
    pixels = decode(whole, LIMITS)
    for share in (0.35, 0.6, 0.85):
        cut = whole[: int(len(whole) * share)]
        with pytest.raises(ServiceError) as caught:
            decode(cut, LIMITS)
        assert caught.value.reason is Reason.IMAGE_DAMAGED
        found = decode_picture(cut, LIMITS, PARTIAL)
        assert found.notes == (Note.PICTURE_INCOMPLETE,)
        white = (found.pixels == 255).all(axis=(1, 2))
        if kind == "bmp":
            white = white[::-1]  # written from the bottom
        there = int(white.argmax())
        assert white[there:].all()
        assert share - 0.3 < there / len(white) < share + 0.2
        rows = slice(len(white) - there, None) if kind == "bmp" else slice(0, there - 2)
        assert np.abs(found.pixels[rows].astype(int) - pixels[rows]).mean() < 1


@pytest.mark.parametrize("kind", ["png", "gif", "jpeg"])
def test_of_a_picture_in_passes_the_whole_is_shown_in_less_detail(kind: str) -> None:
    picture = noise(3, 200, 150)
    if kind == "png":
        from tests.support.made_pictures.pngs import png

        whole = png(np.asarray(picture).astype(int), 8, 2, interlaced=True)
    else:
        whole = encode(picture, kind.upper(), **({"interlace": 1} if kind == "gif" else {"progressive": True}))
    pixels = decode(whole, LIMITS).astype(int)
    apart = []
    for share in (0.55, 0.8):
        found = decode_picture(whole[: int(len(whole) * share)], LIMITS, PARTIAL)
        assert found.notes == (Note.PICTURE_INCOMPLETE,)
        apart.append(np.abs(found.pixels - pixels).mean())
    assert apart[1] <= apart[0] < 12


@pytest.mark.parametrize("kind", [*KINDS, *IN_BLOCKS])
def test_a_picture_that_is_whole_has_no_note(kind: str) -> None:
    assert decode_picture({**KINDS, **IN_BLOCKS}[kind](), LIMITS, PARTIAL).notes == ()


@pytest.mark.parametrize("kind", IN_BLOCKS)
def test_of_a_picture_in_blocks_the_part_that_is_certain_is_shown(kind: str) -> None:
    whole = IN_BLOCKS[kind]()
    pixels = decode(whole, LIMITS).astype(int)
    first_frame = whole.find(b"ANMF", whole.find(b"ANMF") + 1) if kind == "webp animated" else len(whole)
    shown = []
    for share in (0.5, 0.7, 0.9):
        cut = whole[: int(first_frame * share)]
        with pytest.raises(ServiceError) as caught:
            decode(cut, LIMITS)
        assert caught.value.reason is Reason.IMAGE_DAMAGED
        found = decode_picture(cut, LIMITS, PARTIAL)
        assert found.notes == (Note.PICTURE_INCOMPLETE,)
        there = ~(found.pixels == 255).all(axis=2)
        assert np.abs(found.pixels - pixels)[there].max() <= 3
        shown.append(there.mean())
    assert 0.1 < shown[0] <= shown[1] <= shown[2] < 1


def test_of_an_avif_the_part_that_is_certain_is_shown_where_there_is_one() -> None:
    shown = 0
    for quality in (60, 75, 90):
        whole = encode(SMOOTH, "AVIF", quality=quality)
        pixels = decode(whole, LIMITS).astype(int)
        assert decode_picture(whole, LIMITS, PARTIAL).notes == ()
        for share in (0.3, 0.5, 0.7, 0.9):
            try:
                found = decode_picture(whole[: int(len(whole) * share)], LIMITS, PARTIAL)
            except ServiceError as error:
                assert "no part of it can be used" in error.message  # noqa: PT017
                continue
            assert found.notes == (Note.PICTURE_INCOMPLETE,)
            there = ~(found.pixels == 255).all(axis=2)
            assert np.abs(found.pixels - pixels)[there].max() <= 3
            shown += 1
    assert shown


def test_a_webp_whose_first_frame_is_whole_is_whole() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description " * 40
    still, animated = encode(SMOOTH, "WEBP", exif=exif), IN_BLOCKS["webp animated"]()
    for whole, end in ((still, still.find(b"EXIF") + 20), (animated, animated.rfind(b"ANMF") + 100)):
        assert decode_picture(whole[:end], LIMITS, DecodeOptions()).notes == ()
        assert np.array_equal(decode(whole[:end], LIMITS), decode(whole, LIMITS))


def test_of_run_lengths_the_rows_that_are_whole_are_shown() -> None:
    for made in (m for m in all_bmps() if "runs of" in m.name):
        pixels, seen = decode(made.content, LIMITS), 0
        for length in range(120, len(made.content) - 40, 7):
            try:
                found = decode_picture(made.content[:length], LIMITS, PARTIAL)
            except ServiceError:
                continue
            with pytest.raises(ServiceError):
                decode(made.content[:length], LIMITS)
            rows = int((found.pixels[::-1] == 255).all(axis=(1, 2)).argmax())
            assert found.notes == (Note.PICTURE_INCOMPLETE,)
            assert rows >= seen
            assert np.array_equal(found.pixels[-rows:], pixels[-rows:])
            assert (found.pixels[:-rows] == 255).all()
            seen = rows
        assert seen > 10, made.name


def test_of_a_jpeg_xl_no_part_is_used_and_that_is_said() -> None:
    pylibjxl = pytest.importorskip("pylibjxl")
    whole = pylibjxl.encode(np.asarray(SMOOTH), distance=1.0)
    with pytest.raises(ServiceError, match="no part of it can be used"):
        decode_picture(whole[: len(whole) // 2], LIMITS, PARTIAL)
    with pytest.raises(ServiceError, match=r"truncated or damaged$"):
        decode(whole[: len(whole) // 2], LIMITS)


def test_of_a_picture_that_ends_before_its_pixels_nothing_is_shown() -> None:
    for kind in ("JPEG", "PNG", "GIF", "BMP"):
        whole = encode(noise(1), kind)
        for length in range(0, len(whole) // 3, 1 + len(whole) // 120):
            with contextlib.suppress(ServiceError):
                found = decode_picture(whole[:length], LIMITS, PARTIAL)
                assert found.notes == (Note.PICTURE_INCOMPLETE,)
                assert not (found.pixels == 255).all()


def test_a_progressive_jpeg_whose_last_scans_are_missing_is_not_whole() -> None:
    out = io.BytesIO()
    Image.fromarray(np.asarray(noise(3, 64, 48))).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    cut = whole[: whole.rindex(b"\xff\xc4")]  # exactly between two scans
    with pytest.raises(ServiceError):
        decode(cut, LIMITS)
    assert decode_picture(cut, LIMITS, PARTIAL).notes == (Note.PICTURE_INCOMPLETE,)


def test_a_bmp_without_the_padding_of_its_last_row_is_whole() -> None:
    for made in all_bmps():
        if "runs" in made.name:
            continue
        content = made.content[:-1] if "24 bits" in made.name else made.content  # 111 bytes, padded by one
        assert decode_picture(content, LIMITS, DecodeOptions()).notes == (), made.name
