"""Pictures that are cut short: refused, unless a part is wanted."""

import contextlib
import io

import numpy as np
import pytest
from PIL import Image

from service.errors import Reason, ServiceError
from service.intake.decode import Wanted, decode, decode_picture
from service.intake.limits import PictureLimits
from service.intake.notes import Note
from tests.support.made_pictures.bmps import all_kinds as all_bmps
from tests.support.pictures import encode, noise

LIMITS = PictureLimits()
PARTIAL = Wanted(partial=True)
KINDS = {
    "jpeg": lambda: encode(noise(3, 200, 150), "JPEG", quality=92),
    "jpeg of grey": lambda: encode(noise(3, 200, 150).convert("L"), "JPEG", quality=92),
    "jpeg of inks": lambda: encode(noise(3, 200, 150).convert("CMYK"), "JPEG", quality=92),
    "jpeg with restarts": lambda: encode(noise(3, 200, 150), "JPEG", quality=92, restart_marker_blocks=3),
    "png": lambda: encode(noise(3, 200, 150)),
    "png with alpha": lambda: encode(noise(3, 200, 150).convert("RGBA")),
    "gif": lambda: encode(noise(3, 200, 150), "GIF", interlace=0),
    "bmp": lambda: encode(noise(3, 200, 150), "BMP"),
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


@pytest.mark.parametrize("kind", [*KINDS, "webp"])
def test_a_picture_that_is_whole_has_no_note(kind: str) -> None:
    whole = encode(noise(1), "WEBP") if kind == "webp" else KINDS[kind]()
    assert decode_picture(whole, LIMITS, PARTIAL).notes == ()


def test_a_webp_that_is_cut_short_is_refused_all_the_same() -> None:
    with pytest.raises(ServiceError):
        decode_picture(encode(noise(1), "WEBP")[:-100], LIMITS, PARTIAL)


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
        assert decode_picture(content, LIMITS, Wanted()).notes == (), made.name
