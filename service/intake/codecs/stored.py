"""What every decoder returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from service.errors import Reason, ServiceError
from service.intake.formats import Format


@dataclass(frozen=True)
class Stored:
    """The pixels as stored, neither turned nor converted.

    colour: (height, width, channels), uint8 or uint16; 1 channel is grey, 3 are RGB, 4 are CMYK (uint8, 255 is all of
    an ink). alpha: (height, width), of the same dtype, None where all is opaque. complete: whether all pixels are
    there; those that are not are white. profile: an ICC profile that only the decoder finds.
    """

    colour: NDArray[Any]
    alpha: NDArray[Any] | None = None
    complete: bool = True
    profile: bytes | None = None


def split_alpha(pixels: NDArray[Any]) -> Stored:
    """Of pixels whose second or fourth channel is alpha."""
    count = pixels.shape[2]
    return Stored(pixels[:, :, :-1], pixels[:, :, -1]) if count in (2, 4) else Stored(pixels)


def damaged(kind: Format, *, no_parts: bool = False) -> ServiceError:
    """The error of a picture whose pixels cannot be decoded, or end too early. no_parts: a part was wanted, but none is
    certain."""
    message = f"the {kind.value} picture is cut short or damaged"
    if no_parts:
        message = f"{message}; no part of it can be used"
    return ServiceError(Reason.IMAGE_DAMAGED, message, field="image")
