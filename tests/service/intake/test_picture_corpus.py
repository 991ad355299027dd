"""Over five hundred generated files: each must decode to its original, and to the result of Pillow."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image, ImageOps

from service.errors import ServiceError
from service.intake.decode import DecodeOptions, decode, decode_picture
from service.intake.limits import PictureLimits
from service.intake.notes import Note
from tests.support.made_pictures import bmps, coloured, gifs, lossy, optional, pngs, turned
from tests.support.made_pictures.made import Made
from tests.support.shared import picture_cases

LIMITS = PictureLimits(formats=("avif", "heic", "tiff", "jxl"))
MODULES = (pngs, bmps, gifs, lossy, coloured, turned, optional)
MAKERS = {module.__name__.rpartition(".")[2]: module.all_kinds for module in MODULES}
LIBRARIES_APART = 3  # levels between two builds of libjpeg or libwebp
TWINS = {"bmp": "base_small.png", "png_grey": "grey_onwhite.png"}  # by the beginning of a case's name


def faults(made: Made) -> Iterator[str]:
    try:
        pixels = decode(made.content, LIMITS)
    except ServiceError as error:
        yield f"{made.name}: {error.reason.name}"
        return
    yield from differences(made.name, pixels, made.shown, made.most, made.mean)
    if made.pillow:
        yield from differences(f"{made.name}, by Pillow", pixels, seen_by_pillow(made.content), LIBRARIES_APART, 1.0)


def differences(name: str, pixels: np.ndarray, expected: np.ndarray, most: float, mean: float) -> Iterator[str]:
    if pixels.shape != expected.shape:
        yield f"{name}: shape {pixels.shape}, not {expected.shape}"
        return
    apart = np.abs(pixels.astype(int) - expected)
    if apart.max() > most or apart.mean() > mean:
        yield f"{name}: {apart.max()} levels apart, {apart.mean():.2f} on average"


def seen_by_pillow(content: bytes) -> np.ndarray:
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB"))


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS.keys())
def test_every_made_picture_shows_what_it_was_made_from(maker: Callable[[], Iterator[Made]]) -> None:
    assert [fault for made in maker() for fault in faults(made)] == []


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    names = [made.name for maker in MAKERS.values() for made in maker()]
    assert len(names) == len(set(names)) >= 500


def test_a_profile_that_cannot_be_used_is_said_and_a_good_one_is_not() -> None:
    for made in coloured.all_kinds():
        notes = decode_picture(made.content, LIMITS, DecodeOptions()).notes
        assert notes == ((Note.PROFILE_IGNORED,) if "png with a profile" in made.name else ()), made.name


def test_the_cases_are_shown_as_their_upright_twins() -> None:
    folder = picture_cases()
    for case in sorted(folder.iterdir()):
        twin = next((name for start, name in TWINS.items() if case.name.startswith(start)), "base.png")
        if not case.name.startswith(("base", "grey")):
            pixels, expected = decode(case.read_bytes(), LIMITS), seen_by_pillow((folder / twin).read_bytes())
            assert list(differences(case.name, pixels, expected, 255, 3.5)) == []
