import struct
from typing import Any

import pytest

from service.errors import Reason, ServiceError
from service.intake.formats import Format, sniff
from service.intake.limits import PictureLimits
from service.intake.probe import Header, probe
from tests.support.data.pictures import encode, noise


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
    ],
)
def test_the_header_gives_format_and_sides(kind: str, options: dict[str, Any]) -> None:
    header = probe(encode(noise(1, 123, 77), kind, **options))
    assert (header.format.value, header.width, header.height) == (kind.lower(), 123, 77)


def test_a_webp_with_alpha_and_exif_is_probed_through_its_extended_header() -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 8
    header = probe(encode(noise(1, 123, 77).convert("RGBA"), "WEBP", exif=exif))
    assert header == Header(Format.WEBP, 123, 77, 8)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"%PDF-1.7 x", "a PDF document"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\n <HTML><body>", "an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG or XML document"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "a Radiance HDR picture"),
        (b"\x76\x2f\x31\x01" + bytes(20), "an OpenEXR picture"),
        (b"II*\x00" + bytes(20), "a TIFF picture, which this server does not decode; add tiff to image_formats"),
        (b"hello, this is text", "text"),
        (b"\x00\x00\x00\x1cftypavif", "an AVIF picture"),
        (b"\x00\x00\x00\x1cftypisom", "a video file"),
        (b"PK\x03\x04" + bytes(9), "a ZIP archive"),
        (bytes(40), "none of the accepted formats"),
    ],
)
def test_what_is_not_an_accepted_picture_is_refused_and_named(content: bytes, said: str) -> None:
    with pytest.raises(ServiceError, match=said) as caught:
        probe(content)
    assert caught.value.reason is Reason.IMAGE_FORMAT_UNSUPPORTED


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_header_cut_short_anywhere_is_refused_or_read_but_never_crashes(kind: str) -> None:
    whole = encode(noise(1), kind)
    for length in range(1, min(len(whole), 400)):
        assert outcome(whole[:length]) in (120, 0, Reason.IMAGE_DAMAGED, Reason.IMAGE_FORMAT_UNSUPPORTED)


def outcome(content: bytes) -> int | Reason:
    try:
        return probe(content).width
    except ServiceError as error:
        return error.reason


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5B", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (0, 0, Reason.IMAGE_DAMAGED),
        (0, 10, Reason.IMAGE_DAMAGED),
        (30_000, 30_000, Reason.IMAGE_TOO_MANY_PIXELS),
        (16_385, 1_000, Reason.IMAGE_TOO_MANY_PIXELS),
        (2**31 - 1, 2**31 - 1, Reason.IMAGE_TOO_MANY_PIXELS),
        (5_100, 100, Reason.IMAGE_RATIO_TOO_EXTREME),
    ],
)
def test_sides_out_of_bounds_are_refused_from_the_header_alone(width: int, height: int, reason: Reason) -> None:
    header = probe(png_header(width, height))
    with pytest.raises(ServiceError) as caught:
        PictureLimits().check_sides(header.width, header.height)
    assert caught.value.reason is reason


def test_sides_at_the_bounds_are_taken() -> None:
    PictureLimits().check_sides(16_384, 3_906)
    PictureLimits().check_sides(5_000, 100)


def test_only_the_first_bytes_decide_the_format() -> None:
    assert sniff(b"BM" + bytes(14)) is Format.BMP
    assert sniff(b"") is None


@pytest.mark.parametrize("chunk", [b"PLTE", b"IDAT", b"eXIf", b"tEXt"])
def test_a_png_chunk_that_claims_more_than_there_is_never_reaches_the_codec(chunk: bytes) -> None:
    picture = encode(noise(1).convert("P"), "PNG")
    at = picture.index(b"IDAT") - 4
    claiming = picture[:at] + b"\xff\xff\xff\x00" + chunk + picture[at:]
    with pytest.raises(ServiceError) as caught:
        probe(claiming)
    assert caught.value.reason is Reason.IMAGE_DAMAGED


def test_the_orientation_of_a_png_is_found_wherever_its_chunk_stands() -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    assert probe(encode(noise(1), "PNG", exif=exif)).orientation == 6
