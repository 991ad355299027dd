"""The learned weights of the built-in encoder, in half precision.

`make encoder` fits `weights/closed_form.npz`, and `make encoder-train` trains `weights/head.npz`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.encoder.builtin.head import HeadWeights
from service.encoder.builtin.whitening import Projection

FOLDER = Path(__file__).parent / "weights"
CLOSED_FORM, HEAD = FOLDER / "closed_form.npz", FOLDER / "head.npz"


@dataclass(frozen=True)
class Weights:
    """Two closed-form projections and the trained head."""

    colour: Projection
    shape: Projection
    head: HeadWeights

    @property
    def block_sizes(self) -> tuple[int, int]:
        """The dimensions of the colour block and of the shape block."""
        return self.colour.matrix.shape[1], self.shape.matrix.shape[1] + self.head.dimension


def read_weights() -> Weights:
    """The committed weights. Raises OSError or KeyError."""
    with np.load(CLOSED_FORM, allow_pickle=False) as file:
        colour, shape = (
            Projection(*(file[f"{name}_{part}"].astype(np.float32) for part in ("mean", "matrix")))
            for name in ("colour", "shape")
        )
    return Weights(colour, shape, HeadWeights.load(HEAD))


def write_closed_form(colour: Projection, shape: Projection) -> None:
    """Rounds the projections to half precision and writes them."""
    named = {
        "colour_mean": colour.mean,
        "colour_matrix": colour.matrix,
        "shape_mean": shape.mean,
        "shape_matrix": shape.matrix,
    }
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(CLOSED_FORM, **{n: v.astype(np.float16) for n, v in named.items()})  # type: ignore[arg-type]
