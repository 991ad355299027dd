"""Remarks on pictures that were used despite a defect."""

from __future__ import annotations

from enum import Enum


class Note(Enum):
    """The names are stable and meant for programs. The values are messages for people."""

    PROFILE_IGNORED = "the colour profile is damaged or unsupported; the colours were treated as sRGB"
    PICTURE_INCOMPLETE = "the picture is truncated; the available part was used, the rest is white"
