"""`make bench-learning`: ways to improve searches from a collection's own vectors, and a check without labels.

Each row is one transformation of a catalogue's vectors, on the photographs of ../shared with both encoders. The metrics
are class retrieval (leave one out), retrieval of edited copies, and the agreement of two halves of the vectors
(index/vectors/ann/centering.py), the only one that needs no labels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.encoders.builtin import mobilenet_folder, photographs
from bench.encoders.retrieval import edited_pictures
from bench.environment import write_result
from bench.index.vectors import Vectors, unit
from index.vectors.ann.centering import agreement
from service.encoder.alterations import Picture
from service.encoder.contract import picture_vectors
from service.encoder.manifest import read_manifest
from service.encoder.preprocess import to_tensor
from service.encoder.registry import BUILTIN_FOLDER
from service.encoder.retrieval import class_scores, found_again
from service.encoder.session import EncoderSession

NEIGHBOURS = 10
Change = Callable[[Vectors, Vectors], Vectors]  # vectors to change, and the catalogue that they are changed by


def centred(vectors: Vectors, catalogue: Vectors) -> Vectors:
    """Subtracts the catalogue's mean."""
    return unit(vectors - catalogue.mean(0))


def diffused(vectors: Vectors, catalogue: Vectors, share: float = 0.5) -> Vectors:
    """Moves vectors towards the mean of their nearest neighbours, weighted by the cube of their similarity."""
    likeness = vectors @ catalogue.T
    if vectors is catalogue:
        np.fill_diagonal(likeness, -9)
    nearest = np.argpartition(-likeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    weights = np.maximum(np.take_along_axis(likeness, nearest, 1), 0) ** 3
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    return unit(vectors + share * np.einsum("nk,nkd->nd", weights, catalogue[nearest]))


def whitened(vectors: Vectors, catalogue: Vectors, power: float) -> Vectors:
    """Shrinks directions of large variance; power 1 equalises all."""
    mean = catalogue.mean(0)
    values, directions = np.linalg.eigh(np.cov((catalogue - mean).T))
    values = np.maximum(values, 0) + 0.1 * values.mean()
    return unit((vectors - mean) @ (directions * values ** (-power / 2)))


def centred_and_diffused(vectors: Vectors, catalogue: Vectors) -> Vectors:
    """Both."""
    moved = centred(catalogue, catalogue)
    return diffused(moved if vectors is catalogue else centred(vectors, catalogue), moved)


CHANGES: dict[str, Change] = {
    "as they are": lambda v, c: v,
    "centred": centred,
    "diffused": diffused,
    "centred and diffused": centred_and_diffused,
    "whitened, power 0.25": lambda v, c: whitened(v, c, 0.25),
    "whitened, power 0.5": lambda v, c: whitened(v, c, 0.5),
    "whitened, power 1": lambda v, c: whitened(v, c, 1.0),
}


def main() -> None:
    """Measures, prints a table, writes bench/results/learning.json."""
    cv2.setNumThreads(1)
    pictures, labels = photographs(0)
    chosen, copies = edited_pictures(pictures)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, source in (("built-in", BUILTIN_FOLDER), ("MobileNetV2", mobilenet_folder(Path(folder)))):
            vectors = encoded(source, pictures)
            edited = {edit: encoded(source, p) for edit, p in copies.items()}
            result[name] = {c: scores(change, vectors, labels, edited, chosen) for c, change in CHANGES.items()}
    for name, rows in result.items():
        table = Table(name, "R@1", "R@10", "mAP@10", "copies", "agreement of halves", box=None)
        for change, row in rows.items():
            table.add_row(change, *(f"{value:.1f}" if value > 1 else f"{value:.4f}" for value in row.values()))
        Console().print(table)
    print(write_result("learning", result))


def encoded(source: Path, pictures: list[Picture]) -> Vectors:
    """The vectors of pictures, of length 1."""
    manifest = read_manifest(source)
    session = EncoderSession(source, manifest, 2)
    starts = range(0, len(pictures), 8)
    made = [picture_vectors(session, [to_tensor(p, manifest.input) for p in pictures[i : i + 8]]) for i in starts]
    return unit(np.concatenate(made))


def scores(
    change: Change, vectors: Vectors, labels: NDArray[np.str_], copies: dict[str, Vectors], chosen: NDArray[np.int64]
) -> dict[str, float]:
    """Quality with transformed vectors. Queries are transformed like new pictures, by the catalogue alone."""
    changed = change(vectors, vectors)
    again = [found_again(change(c, vectors), changed, chosen) for c in copies.values()]
    return {
        **class_scores(changed, labels),
        "copies": float(np.mean(again)),
        "agreement": agreement(vectors, lambda half: change(half, half)),
    }


if __name__ == "__main__":
    main()
