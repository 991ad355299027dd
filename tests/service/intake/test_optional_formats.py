"""Optional formats, which a server decodes only if they are enabled."""

import struct

import pytest

from service.composition.parts import limits_of
from service.errors import Reason, ServiceError, SettingError
from service.intake import formats
from service.intake.decode import decode
from service.intake.formats import OPTIONAL, sniff
from service.intake.limits import PictureLimits
from service.intake.probe import probe
from service.settings.model import Settings
from tests.support.made_pictures import optional
from tests.support.made_pictures.made import Made

NAMES = tuple(kind.value for kind in OPTIONAL)
EVERY = {made.name: made for made in optional.all_kinds()}
ONE_OF_EACH = {"avif": EVERY["avif"], "heic": EVERY["heic plain"], "tiff": EVERY["tiff raw"], "jxl": EVERY["jxl"]}


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_off_is_refused_and_the_setting_is_named(name: str) -> None:
    others = PictureLimits(formats=tuple(n for n in NAMES if n != name))
    for limits in (PictureLimits(), others):
        with pytest.raises(ServiceError, match=f"add {name} to image_formats") as caught:
            decode(ONE_OF_EACH[name].content, limits)
        assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED


@pytest.mark.parametrize("name", NAMES)
def test_the_limits_hold_from_the_header_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.intake.decode.decode_optional", lambda *_: pytest.fail("reached the decoder"))
    width, height = 64 if name == "heic" else 40, 64 if name == "heic" else 24  # HEIC stores whole blocks
    header = probe(ONE_OF_EACH[name].content, False, NAMES)
    assert (header.width, header.height) == (width, height)
    with pytest.raises(ServiceError) as caught:
        decode(ONE_OF_EACH[name].content, PictureLimits(max_pixels=500, formats=NAMES))
    assert caught.value.reason is Reason.IMAGE_TOO_MANY_PIXELS


@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY.keys())
def test_cut_short_anywhere_it_is_refused_or_shows_what_is_there(made: Made) -> None:
    for length in range(0, len(made.content) - 1, 1 + len(made.content) // 12):
        try:
            decode(made.content[:length], PictureLimits(formats=NAMES))
        except ServiceError as error:
            assert error.reason.name.startswith("IMAGE_")  # noqa: PT017


def test_a_primary_item_without_sides_is_refused() -> None:
    content = ONE_OF_EACH["avif"].content.replace(b"ispe", b"free")
    with pytest.raises(ServiceError) as caught:
        decode(content, PictureLimits(formats=NAMES))
    assert caught.value.reason is Reason.IMAGE_DAMAGED


def test_a_tile_that_is_larger_than_its_picture_is_refused() -> None:
    content = bytearray(ONE_OF_EACH["avif"].content)
    at = content.index(b"ispe")
    box = content[at - 4 : at + 16]
    content[at + 8 : at + 16] = struct.pack(">II", 9000, 9000)
    assert box != content[at - 4 : at + 16]
    with pytest.raises(ServiceError):
        decode(bytes(content), PictureLimits(formats=NAMES, max_pixels=1_000_000))


def test_the_first_bytes_tell_containers_apart() -> None:
    for name, made in ONE_OF_EACH.items():
        assert sniff(made.content[: formats.SNIFF_BYTES]) is formats.Format(name)
    assert sniff(b"\0\0\0\x20ftypisom\0\0\0\0isommp42avc1\0\0\0\0") is None
    assert sniff(b"\xff\xff\xff\xffftypmif1" + bytes(52)) is None  # at once, whatever size it claims
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") is formats.Format.AVIF
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf") is formats.Format.HEIC


def test_a_setting_that_names_another_format_or_a_missing_package_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert limits_of(Settings(image_formats=("avif", "tiff"))).accepted[-2:] == ("avif", "tiff")
    with pytest.raises(SettingError, match="image_formats: 'psd' is not one of avif, heic, tiff, jxl"):
        limits_of(Settings(image_formats=("psd",)))
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    with pytest.raises(SettingError, match=r"image_formats: heic needs the package pi-heif: pip install .*\[heic\]"):
        limits_of(Settings(image_formats=("heic",)))
