"""What there is to say about a picture that was used all the same."""

from __future__ import annotations

from enum import Enum


class Note(Enum):
    """Stable names, for programs; the values are for people."""

    PROFILE_IGNORED = "the colour profile is damaged or of an unknown kind; the colours were taken for sRGB"
    PICTURE_INCOMPLETE = "the picture is cut short; the part that is there was used, what is missing is white"
