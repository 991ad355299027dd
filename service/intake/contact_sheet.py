"""Contact sheets: pictures side by side with captions, for a person to review a search result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from service.errors import ServiceError
from service.intake.decode import Pixels, decode
from service.intake.limits import PictureLimits

_TILE, _CAPTION, _GAP = 220, 26, 14
_INK, _FRAME = (40, 40, 40), (225, 225, 225)


@dataclass(frozen=True)
class Tile:
    """An encoded picture, or None for an empty frame, and its caption."""

    caption: str
    picture: bytes | None = field(repr=False)


def draw_sheet(tiles: Sequence[Tile], columns: int = 6) -> bytes:
    """Returns a PNG with the tiles in rows."""
    columns = max(1, min(columns, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    step_x, step_y = _TILE + _GAP, _TILE + _CAPTION + _GAP
    sheet = np.full((rows * step_y + _GAP, columns * step_x + _GAP, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = _GAP + number // columns * step_y, _GAP + number % columns * step_x
        sheet[top : top + _TILE, left : left + _TILE] = _fit(tile.picture)
        cv2.rectangle(sheet, (left - 1, top - 1), (left + _TILE, top + _TILE), _FRAME, 1)
        _write(sheet, tile.caption, left, top + _TILE + 18)
    written, png = cv2.imencode(".png", sheet[:, :, ::-1])
    if not written:
        raise ValueError("the sheet could not be encoded")
    return png.tobytes()


def _fit(picture: bytes | None) -> NDArray[np.uint8]:
    canvas = np.full((_TILE, _TILE, 3), 255 if picture else 242, np.uint8)
    if picture is None:
        return canvas
    try:
        pixels: Pixels = decode(picture, PictureLimits())
    except ServiceError:
        return canvas
    factor = _TILE / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    top, left = (_TILE - size[1]) // 2, (_TILE - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def _write(sheet: NDArray[np.uint8], text: str, left: int, baseline: int) -> None:
    shown = text if len(text) <= 30 else f"{text[:20]}~{text[-9:]}"
    plain = shown.encode("ascii", "replace").decode()
    cv2.putText(sheet, plain, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
