"""Vectors of drawn products in three pictures each, for one encoder: kept in a file beside this module, or in the
encoder's own folder."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from index.storage import replace_file
from service.errors import SettingError

FILE_NAME = "drawn.npz"  # in the folder of an encoder that an operator brought
FOLDER = Path(__file__).parent
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class DrawnSamples:
    """Vectors of length 1, float32, shape (products, dimension): row n of each is of product n. `hard`: of photographs
    in which it is hard to recognise; None in files of earlier versions."""

    catalogue: Vectors
    photographs: Vectors
    hard: Vectors | None = None

    def write(self, path: Path) -> None:
        """Writes the vectors in 8 bits a number. Raises OSError."""
        named = {"catalogue": self.catalogue, "photographs": self.photographs}
        named |= {} if self.hard is None else {"hard": self.hard}
        scales = {name: float(np.abs(v).max()) / 127 for name, v in named.items()}
        small = {name: np.round(v / scales[name]).astype(np.int8) for name, v in named.items()}
        content = BytesIO()
        np.savez_compressed(content, scales=np.array(list(scales.values())), **small)  # type: ignore[arg-type]
        replace_file(path, content.getvalue())


def read_samples(path: Path, dimension: int) -> DrawnSamples | None:
    """What `write` wrote; None where there is no file. Raises SettingError where it is something else."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            names = ["catalogue", "photographs", *(["hard"] if "hard" in file else [])]
            vectors = [
                _unit(file[name].astype(np.float32) * scale)
                for name, scale in zip(names, file["scales"].tolist(), strict=True)
            ]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise SettingError(f"{path}: not a file of drawn samples: {error}; remove it or create it again") from error
    if any(v.ndim != 2 or v.shape != vectors[0].shape or v.shape[1] != dimension for v in vectors):
        raise SettingError(f"{path}: its vectors are not of this encoder; remove it or create it again")
    return DrawnSamples(*vectors)


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)
