"""Limits on pictures: formats and sizes."""

from __future__ import annotations

from dataclasses import dataclass

from service.errors import Reason, ServiceError
from service.intake.formats import ALWAYS


@dataclass(frozen=True)
class PictureLimits:
    """Limits on one picture.

    `max_bytes` and `max_pixels` limit memory. `max_side` guards against decoder bugs, and `max_ratio` (longer side to
    shorter) against extremely thin pictures. `formats`: optional formats that are decoded too, such as "avif".
    """

    max_bytes: int = 16 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_side: int = 16_384
    max_ratio: int = 50
    formats: tuple[str, ...] = ()

    @property
    def accepted(self) -> tuple[str, ...]:
        """Names of all formats that are decoded."""
        return (*(kind.value for kind in ALWAYS), *self.formats)

    def check_bytes(self, size: int) -> None:
        """Checks the size of the file in bytes. Raises ServiceError (IMAGE_EMPTY, IMAGE_TOO_LARGE)."""
        if size == 0:
            raise ServiceError(Reason.IMAGE_EMPTY, "the picture has no bytes", field="image")
        if size > self.max_bytes:
            message = f"the picture has {size} bytes, more than {self.max_bytes}"
            raise ServiceError(Reason.IMAGE_TOO_LARGE, message, field="image")

    def check_sides(self, width: int, height: int) -> None:
        """Checks width and height in pixels.

        Raises ServiceError (IMAGE_DAMAGED, IMAGE_TOO_MANY_PIXELS, IMAGE_RATIO_TOO_EXTREME).
        """
        if width < 1 or height < 1:
            raise ServiceError(Reason.IMAGE_DAMAGED, f"the header says {width} x {height} pixels", field="image")
        if width * height > self.max_pixels or max(width, height) > self.max_side:
            message = (
                f"the picture has {width} x {height} pixels; the limits are {self.max_pixels} pixels and a side of "
                f"{self.max_side}"
            )
            raise ServiceError(Reason.IMAGE_TOO_MANY_PIXELS, message, field="image")
        if max(width, height) > self.max_ratio * min(width, height):
            message = f"{width} x {height} pixels: the longer side is more than {self.max_ratio} times the shorter"
            raise ServiceError(Reason.IMAGE_RATIO_TOO_EXTREME, message, field="image")
