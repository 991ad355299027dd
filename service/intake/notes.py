"""Remarks on pictures that were used despite a defect."""

from __future__ import annotations

from enum import Enum


class Note(Enum):
    """The names are stable and meant for programs. The values are messages for people."""

    PROFILE_IGNORED = "the colour profile is damaged or of an unknown kind; the colours were taken for sRGB"
    PICTURE_INCOMPLETE = "the picture is cut short; the part that is there was used, what is missing is white"
