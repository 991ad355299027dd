"""From the bytes of a picture to its pixels: upright, RGB, on white, cropped to the region.

Only formats that the probe allows reach OpenCV (its HDR reader, for one, writes a temporary file). OpenCV is asked for
the pixels as stored, alpha included; orientation and alpha are handled here, the same way for every format. A JPEG may
be decoded at a half, a quarter or an eighth of its sides, which the codec does in a fraction of the time.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from service.errors import Reason, ServiceError
from service.intake.formats import Format
from service.intake.limits import PictureLimits
from service.intake.probe import Header, probe

Pixels = NDArray[np.uint8]
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


class Area(Protocol):
    """A part of a picture, sides normalised to 0 to 1; `index.Region` is one."""

    @property
    def left(self) -> float: ...
    @property
    def top(self) -> float: ...
    @property
    def right(self) -> float: ...
    @property
    def bottom(self) -> float: ...


def prepare_opencv() -> None:
    """Once per process, before the first picture: one thread per call (requests run in parallel, not parts of one)
    and no messages on stderr."""
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode(picture: bytes | memoryview, limits: PictureLimits, region: Area | None = None, enough: int = 0) -> Pixels:
    """The pixels of a picture, or of a region of it: uint8, shape (height, width, 3), RGB.

    `enough`: where the result keeps at least so many pixels on its shorter side, a JPEG may be decoded smaller than it
    is; 0: at full size. Of an animation this is the first frame. Raises ServiceError with a reason that begins with
    IMAGE_.
    """
    limits.check_bytes(len(picture))
    header = probe(picture)
    limits.check_sides(header.width, header.height)
    stored = _decode_stored(picture, header, _reduction(header, region, enough))
    upright = _turn_upright(_to_rgb(stored), header.orientation)
    return crop(upright, region)


def crop(pixels: Pixels, region: Area | None) -> Pixels:
    """The part of the pixels that the region covers, at least one pixel each way. A view, not a copy."""
    if region is None:
        return pixels
    height, width = pixels.shape[:2]
    left, top = min(int(region.left * width), width - 1), min(int(region.top * height), height - 1)
    right, bottom = max(math.ceil(region.right * width), left + 1), max(math.ceil(region.bottom * height), top + 1)
    return pixels[top:bottom, left:right]


def _reduction(header: Header, region: Area | None, enough: int) -> int:
    """By how much the sides may shrink: 1, 2, 4 or 8."""
    if header.format is not Format.JPEG or not enough:
        return 1
    across, down = (region.right - region.left, region.bottom - region.top) if region else (1.0, 1.0)
    if header.orientation >= 5:  # lies on its side
        across, down = down, across
    shorter = min(header.width * across, header.height * down)
    return max((factor for factor in _REDUCED if shorter >= factor * enough), default=1)


def _decode_stored(picture: bytes | memoryview, header: Header, reduction: int) -> Any:
    flags = cv2.IMREAD_UNCHANGED
    if header.format is Format.JPEG:
        flags = _REDUCED.get(reduction, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        stored = cv2.imdecode(np.frombuffer(picture, np.uint8), flags)
    except (cv2.error, MemoryError):
        stored = None
    if stored is None or stored.shape[:2] != (-(-header.height // reduction), -(-header.width // reduction)):
        message = f"the {header.format.value} picture is cut short or damaged"
        raise ServiceError(Reason.IMAGE_DAMAGED, message, field="image")
    return stored


def _to_rgb(stored: Any) -> Pixels:
    if stored.dtype == np.uint16:
        stored = ((stored.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    if channels < 4:
        rgb: Pixels = cv2.cvtColor(stored, cv2.COLOR_GRAY2RGB if channels == 1 else cv2.COLOR_BGR2RGB)
    else:
        colour, alpha = stored[..., 2::-1].astype(np.uint16), stored[..., 3:].astype(np.uint16)
        rgb = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return rgb


def _turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undoes EXIF orientation 1 to 8."""
    if orientation in (2, 3, 4):
        return cv2.flip(pixels, {2: 1, 3: -1, 4: 0}[orientation])  # type: ignore[return-value]
    if orientation == 5:
        return cv2.transpose(pixels)  # type: ignore[return-value]
    if orientation == 6:
        return cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)  # type: ignore[return-value]
    if orientation == 7:
        return cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)  # type: ignore[return-value]
    if orientation == 8:
        return cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)  # type: ignore[return-value]
    return pixels
