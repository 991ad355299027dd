"""The result of every decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from service.errors import Reason, ServiceError
from service.intake.formats import Format


@dataclass(frozen=True)
class Stored:
    """Pixels as stored: not rotated, not converted.

    - `colour`: shape (height, width, channels), uint8 or uint16. 1 channel is grey, 3 are RGB, 4 are CMYK (uint8, 255
      is full ink).
    - `alpha`: shape (height, width), of the same dtype; None if all pixels are opaque.
    - `complete`: whether all pixels are available. Missing ones are white.
    - `profile`: an ICC profile that only the decoder finds.
    """

    colour: NDArray[Any]
    alpha: NDArray[Any] | None = None
    complete: bool = True
    profile: bytes | None = None


def split_alpha(pixels: NDArray[Any]) -> Stored:
    """Splits off the second or fourth channel as alpha, if there is one."""
    count = pixels.shape[2]
    return Stored(pixels[:, :, :-1], pixels[:, :, -1]) if count in (2, 4) else Stored(pixels)


def damaged(kind: Format, *, no_parts: bool = False) -> ServiceError:
    """The error for a picture whose pixels cannot be decoded or end too early.

    `no_parts`: a partial result was requested, but no part is certain.
    """
    message = f"the {kind.value} picture is truncated or damaged"
    if no_parts:
        message = f"{message}; no part of it can be used"
    return ServiceError(Reason.IMAGE_DAMAGED, message, field="image")
