"""A colour as a query: the colour block of a disc of it on white, and nothing in the other blocks.

Goods are mostly shown on white. A picture of the colour alone finds less (decision 0080).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from index import Vector
from service.encoder.manifest import BlockSpec, InputSpec, Manifest
from service.encoder.preprocess import Tensor, to_tensor
from service.errors import Reason, ServiceError

_BLOCK = "colour"


class Color(NamedTuple):
    """sRGB, each 0 to 255."""

    red: int
    green: int
    blue: int


def color_block(encoder: Manifest) -> BlockSpec | None:
    """The block of an encoder's vector that holds the colours of a picture; None if it has none, or no model."""
    blocks = () if encoder.vectors_only else encoder.output.blocks
    return next((b for b in blocks if b.name == _BLOCK), None)


def check_takes_color(encoder: Manifest) -> None:
    """Raises ServiceError (QUERY_UNSUPPORTED) for an encoder without a block of colours."""
    if color_block(encoder) is None:
        message = f"the encoder {encoder.id!r} has no block named {_BLOCK!r}, so it cannot search by color"
        raise ServiceError(Reason.QUERY_UNSUPPORTED, message, field="query.color")


def colored_disc(color: Color, spec: InputSpec) -> Tensor:
    """A picture of a disc in the colour, three quarters as wide as the white around it, as the model takes it."""
    from_middle = [(np.arange(side) - (side - 1) / 2) / (0.375 * side) for side in spec.size]
    inside = from_middle[0][:, None] ** 2 + from_middle[1] ** 2 <= 1
    return to_tensor(np.where(inside[..., None], np.array(color, np.uint8), np.uint8(255)), spec)


def only_color(vector: Vector, blocks: tuple[BlockSpec, ...]) -> Vector:
    """The colour block of a vector, L2-normalised, with zeros in all others: float32, shape (dimension,)."""
    is_color = np.repeat([b.name == _BLOCK for b in blocks], [b.size for b in blocks])
    part = np.where(is_color, vector, np.float32(0))
    found: Vector = (part / max(float(np.linalg.norm(part)), 1e-12)).astype(np.float32)
    return found
