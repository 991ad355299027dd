"""Vectors of drawn products in two pictures each, for one encoder: kept in a file beside this module, or in the
encoder's own folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from service.errors import SettingError

FILE_NAME = "drawn.npz"  # in the folder of an encoder that an operator brought
FOLDER = Path(__file__).parent
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class DrawnSamples:
    """Vectors of length 1, float32, shape (products, dimension): row n of both is of product n."""

    catalogue: Vectors
    photographs: Vectors

    def write(self, path: Path) -> None:
        """Writes the vectors in 8 bits a number. Raises OSError."""
        both = (self.catalogue, self.photographs)
        scales = [float(np.abs(v).max()) / 127 for v in both]
        small = [np.round(v / s).astype(np.int8) for v, s in zip(both, scales, strict=True)]
        with path.open("wb") as file:
            np.savez_compressed(file, catalogue=small[0], photographs=small[1], scales=np.array(scales))


def read_samples(path: Path, dimension: int) -> DrawnSamples | None:
    """What `write` wrote; None where there is no file. Raises SettingError where it is something else."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            vectors = [
                _unit(file[name].astype(np.float32) * scale)
                for name, scale in zip(("catalogue", "photographs"), file["scales"].tolist(), strict=True)
            ]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise SettingError(f"{path}: not a file of drawn samples: {error}; remove it or create it again") from error
    if vectors[0].shape != vectors[1].shape or vectors[0].ndim != 2 or vectors[0].shape[1] != dimension:
        raise SettingError(f"{path}: its vectors are not of this encoder; remove it or create it again")
    return DrawnSamples(*vectors)


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)
