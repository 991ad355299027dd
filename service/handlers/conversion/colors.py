"""Colours as texts of requests."""

from __future__ import annotations

import re

from PIL import ImageColor

from service.engine.terms.colors import Color
from service.handlers.conversion.values import invalid

_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})")


def to_color(text: str) -> Color:
    """Returns the colour of `#rrggbb`, `#rgb` or a name of CSS, in any case. Raises ServiceError (ARGUMENT_INVALID)."""
    name = text.strip().lower()
    if not _HEX.fullmatch(name) and name not in ImageColor.colormap:
        raise invalid("query.color", "color must be #rrggbb, #rgb, or the name of a CSS color such as crimson")
    red, green, blue, *_ = ImageColor.getrgb(name)
    return Color(red, green, blue)
