"""`make encoder-examples`: draws search results in the demo catalogue for docs/encoder.md.

Every row is a query and its nearest products under three emphases. The query's own product is left out.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from examples.catalogue.generate import TABLE_NAME, generate
from service.encoder.contract import picture_vectors
from service.encoder.manifest import read_manifest
from service.encoder.preprocess import to_tensor
from service.encoder.registry import BUILTIN_FOLDER
from service.encoder.session import EncoderSession
from service.engine.emphasis import emphasised

TARGET = Path(__file__).parents[2] / "docs" / "images" / "encoder-examples.jpg"
SIDE, GAP, HITS = 92, 10, 4
EMPHASES: tuple[dict[str, float], ...] = ({}, {"colour": 6.0}, {"colour": 0.0})
QUERIES = 7
Pixels = NDArray[np.uint8]


def main() -> None:
    """Draws the catalogue, encodes it, writes TARGET."""
    manifest = read_manifest(BUILTIN_FOLDER)
    session = EncoderSession(BUILTIN_FOLDER, manifest, 2)
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        with (Path(folder) / TABLE_NAME).open(newline="") as file:
            rows = list(csv.DictReader(file))
        pictures = [_read(Path(folder) / row["file"]) for row in rows]
    products = np.array([row["product_id"] for row in rows])
    vectors = np.concatenate([picture_vectors(session, [to_tensor(p, manifest.input)]) for p in pictures])
    lines = []
    for query in range(0, len(rows), len(rows) // QUERIES)[:QUERIES]:
        cells = [_tile(pictures[query])]
        for emphasis in EMPHASES:
            asked = emphasised(vectors[query], manifest.output.blocks, emphasis)
            order = np.argsort(-(vectors @ asked.vector))
            others = [i for i in order if products[i] != products[query]][:HITS]
            cells += [_gap(), *(_tile(pictures[i]) for i in others)]
        lines.append(np.hstack(cells))
    TARGET.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(TARGET), np.vstack(lines)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(TARGET)


def _read(path: Path) -> Pixels:
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]  # type: ignore[index, return-value]


def _tile(picture: Pixels) -> Pixels:
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(small, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))  # type: ignore[return-value]


def _gap() -> Pixels:
    return np.full((SIDE + 4, GAP, 3), 255, np.uint8)


if __name__ == "__main__":
    main()
