"""Colour code points (ITU-T H.273), as used in PNG, AVIF and HEIC."""

from __future__ import annotations

from service.intake.headers.header import Encoding

_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: (), 5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65), 6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *_D65),
    9: (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, *_D65), 12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *_D65),
}  # fmt: skip
_GAMMAS = {1: 0.0, 4: 2.2, 5: 2.8, 6: 0.0, 8: 1.0, 13: 0.0, 14: 0.0, 15: 0.0}


def coded_encoding(primaries: int, transfer: int) -> Encoding | None:
    """The encoding for code points of ITU-T H.273; None if they are unspecified or of high dynamic range.

    Video transfer curves (1, 6, 14, 15) are treated as sRGB, as in browsers.
    """
    if primaries not in _PRIMARIES or transfer not in _GAMMAS:
        return None
    return Encoding(_GAMMAS[transfer], _PRIMARIES[primaries])
