"""Draws the catalogue: pictures and `records.csv`, as `afterimage insert --records` takes it.

    python -m examples.catalogue.generate FOLDER

The same seed draws the same catalogue. About 300 pictures of 120 products in twelve kinds; the first view of each is on
white, the others in a scene, turned, mirrored or closer.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from examples.catalogue.canvas import PATTERNS, Canvas, Colour, Material, Pose
from examples.catalogue.grounds import scene, white
from examples.catalogue.products import KINDS
from service.cli.progress import ProgressShown

SEED = 2026
PRODUCTS_PER_KIND = 10
TABLE_NAME = "records.csv"
QUERY_VIEW = 1000  # far beyond the views that are in the catalogue
COLOURS: dict[str, Colour] = {
    "red": (0.76, 0.15, 0.17), "orange": (0.91, 0.47, 0.13), "yellow": (0.95, 0.78, 0.22), "green": (0.24, 0.52, 0.29),
    "teal": (0.13, 0.51, 0.53), "blue": (0.17, 0.35, 0.68), "navy": (0.13, 0.18, 0.35), "purple": (0.46, 0.26, 0.56),
    "pink": (0.93, 0.58, 0.68), "brown": (0.45, 0.3, 0.2), "grey": (0.55, 0.56, 0.58), "black": (0.17, 0.17, 0.19),
}  # fmt: skip
BRANDS = ("Alba", "Birk & Co", "Corvo", "Dunes", "Ebbe", "Fjell")


@dataclass(frozen=True)
class Product:
    """One product of the catalogue."""

    number: int
    category: str
    colour: str
    second: str
    pattern: str
    brand: str
    price: float
    in_stock: bool
    tags: tuple[str, ...]
    views: int

    @property
    def product_id(self) -> str:
        return f"p{self.number:03d}"


def products(seed: int = SEED) -> list[Product]:
    """All products."""
    random = np.random.default_rng(seed)
    colours, patterns = list(COLOURS), list(PATTERNS)
    made: list[Any] = []
    for category in KINDS:
        chosen = random.permutation(len(colours))[:PRODUCTS_PER_KIND]
        for colour in chosen:
            number = len(made)
            second = (
                "white" if random.random() < 0.5 else colours[int((colour + 3 + random.integers(6)) % len(colours))]
            )
            tags = tuple(t for t, p in (("new", 0.2), ("outlet", 0.25), ("gift", 0.3)) if random.random() < p)
            made.append(
                Product(
                    number,
                    category,
                    colours[colour],
                    second,
                    patterns[int(random.integers(len(patterns)))],
                    BRANDS[int(random.integers(len(BRANDS)))],
                    round(float(random.uniform(8, 160)), 2),
                    bool(random.random() < 0.85),
                    tags,
                    2 + int(random.random() < 0.5),
                )
            )
    return made


def draw(product: Product, view: int) -> np.ndarray:
    """One view of a product, uint8 BGR."""
    random = np.random.default_rng((SEED, product.number, view))
    second = COLOURS.get(product.second, (0.96, 0.95, 0.93))
    material = Material(COLOURS[product.colour], second, product.pattern, seed=product.number)
    if view == 0:
        ground, pose = white(), Pose(size=0.84)
    else:
        ground = scene(random) if view == 1 or random.random() < 0.5 else white()
        pose = Pose(
            x=0.5 + random.uniform(-0.05, 0.05),
            y=0.5 + random.uniform(-0.05, 0.05),
            size=random.uniform(0.62, 0.95),
            turn=random.uniform(-12, 12),
            mirrored=bool(random.random() < 0.4),
            squeeze=random.uniform(0.86, 1.0),
        )
    canvas = Canvas(ground, pose)
    KINDS[product.category](canvas, material, product.number)
    return canvas.finish()


def rows(made: list[Product]) -> Iterator[dict[str, object]]:
    """Rows of the CSV."""
    for product in made:
        for view in range(product.views):
            yield {
                "file": f"{product.product_id}-{view}.jpg",
                "product_id": product.product_id,
                "category": product.category,
                "colour": product.colour,
                "pattern": product.pattern,
                "brand": product.brand,
                "price": product.price,
                "in_stock": str(product.in_stock).lower(),
                "tags[]": "|".join(product.tags),
            }


def generate(folder: Path) -> int:
    """Draws what is not there yet; returns the number of pictures. The table is written last: it marks the end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = products()
    wanted = [(product, view, folder) for product in made for view in range(product.views)]
    if not (folder / TABLE_NAME).exists():
        with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool, ProgressShown() as progress:
            task = progress.add_task("Drawing", total=len(wanted), speed="")
            for _ in pool.map(_write, wanted, chunksize=4):
                progress.advance(task)
        table = list(rows(made))
        with (folder / TABLE_NAME).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    return len(wanted)


def draw_query(number: int, folder: Path) -> Path:
    """Draws a view of a product that the catalogue does not hold; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    product = products()[number]
    path = folder / f"{product.product_id}-query.jpg"
    if not path.exists():
        cv2.imwrite(str(path), draw(product, QUERY_VIEW), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return path


def _write(job: tuple[Product, int, Path]) -> None:
    cv2.setNumThreads(1)
    product, view, folder = job
    path = folder / f"{product.product_id}-{view}.jpg"
    cv2.imwrite(str(path), draw(product, view), [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "catalogue")
    print(f"{generate(target)} pictures in {target}")
