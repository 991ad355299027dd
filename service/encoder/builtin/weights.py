"""The learned weights of the built-in encoder.

`make encoder` fits `weights/projections.npz`, and `make encoder-train` trains `weights/network.npz`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.instance import Standard
from service.encoder.builtin.network import NetworkWeights
from service.encoder.builtin.whitening import Projection

FOLDER = Path(__file__).parent / "weights"
NETWORK, PROJECTIONS = FOLDER / "network.npz", FOLDER / "projections.npz"
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Projections:
    """What is fitted in closed form. `codebook`: colours in curved Lab, [CODES, 3]."""

    codebook: Array
    colour: Projection
    standard: Standard
    instance: Projection

    def save(self, path: Path) -> None:
        """Writes matrices in half precision, and vectors as they are."""
        parts = {
            "codebook": self.codebook, "standard_mean": self.standard.mean,
            "standard_deviation": self.standard.deviation, "colour_mean": self.colour.mean,
            "instance_mean": self.instance.mean,
        }  # fmt: skip
        halves = {"colour_matrix": self.colour.matrix, "instance_matrix": self.instance.matrix}
        path.parent.mkdir(exist_ok=True)
        arrays = parts | {name: matrix.astype(np.float16) for name, matrix in halves.items()}
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Projections:
        """Reads a file of `save`. Raises OSError or KeyError."""
        with np.load(path, allow_pickle=False) as file:
            given = {name: file[name].astype(np.float32) for name in file.files}
        return cls(
            given["codebook"], Projection(given["colour_mean"], given["colour_matrix"]),
            Standard(given["standard_mean"], given["standard_deviation"]),
            Projection(given["instance_mean"], given["instance_matrix"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """The trained network and what is fitted to its maps."""

    network: NetworkWeights
    projections: Projections

    @property
    def part_sizes(self) -> tuple[int, int, int]:
        """The dimensions of the colour, the instance and the family part."""
        fitted = self.projections
        colour, instance = fitted.colour.matrix, fitted.instance.matrix
        return colour.shape[1], instance.shape[1], self.network.family.shape[1]


def read_weights() -> Weights:
    """The committed weights. Raises OSError or KeyError."""
    return Weights(NetworkWeights.load(NETWORK), Projections.load(PROJECTIONS))
