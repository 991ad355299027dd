"""Colours as texts, against the table of Pillow and plain arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor

from service.errors import Reason, ServiceError
from service.handlers.conversion.colors import to_color


@given(st.tuples(*[st.integers(0, 255)] * 3), st.booleans())
def test_six_hexadecimal_digits_are_red_green_and_blue(rgb: tuple[int, int, int], upper: bool) -> None:
    text = "#" + "".join(f"{part:02x}" for part in rgb)
    assert to_color(text.upper() if upper else text) == rgb


def test_three_digits_stand_for_doubled_ones_and_names_are_those_of_css() -> None:
    assert to_color("#d23") == (0xDD, 0x22, 0x33)
    assert to_color(" RebeccaPurple ") == (0x66, 0x33, 0x99)
    assert to_color("crimson") == (220, 20, 60)
    assert len(ImageColor.colormap) >= 148
    assert all(len(to_color(name)) == 3 for name in list(ImageColor.colormap))


@pytest.mark.parametrize(
    "text", ["", "#", "#12", "#1234", "#12345", "#1234567", "#12345678", "d02030", "#gggggg", "no color",
             "rgb(1, 2, 3)", "hsl(0, 0%, 0%)", "#d02030\n#", "crimson;", "\u0661" * 7, "#\uff11\uff12\uff13"]
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ServiceError, match="#rrggbb, #rgb, or the name of a CSS color") as caught:
        to_color(text)
    assert (caught.value.reason, caught.value.field) == (Reason.ARGUMENT_INVALID, "query.color")
