"""The packs of pictures on which encoders are measured, and what is measured on each.

`clothing` and `grocery` are photographs of ../shared, which are not part of the project. `drawn` are pictures of the
generator: photographs of customers against a catalogue of 300 forms in four materials.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.encoders.retrieval import edited_pictures
from service.encoder.alterations import Picture
from service.encoder.builtin.generator.objects import any_thing
from service.encoder.builtin.generator.pairs import catalogue_view, customer_view
from service.encoder.retrieval import Vectors, class_scores, found_again, shop_scores

SHARED = Path(__file__).parents[3] / "shared"
FORMS, MATERIALS, QUERIES = 300, 4, 2
COPIED = 120  # pictures of a pack
_DRAWN_SEED = 20261
Labels = NDArray[np.str_]
Encode = Callable[[list[Picture]], Vectors]


@dataclass(frozen=True)
class Pack:
    """Pictures, RGB, and their labels. The first `catalogue` of them are searched by the others; 0: every picture is
    searched by each other one. `copies`: by edit, of the pictures `chosen`."""

    name: str
    pictures: list[Picture]
    labels: Labels
    catalogue: int = 0
    chosen: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    copies: dict[str, list[Picture]] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoded:
    """The vectors of a pack, and those of its copies by edit."""

    whole: Vectors
    copies: dict[str, Vectors]

    def weighted(self, weigh: Callable[[Vectors], Vectors]) -> Encoded:
        """The same with every block of vectors passed through `weigh`."""
        return Encoded(weigh(self.whole), {edit: weigh(vectors) for edit, vectors in self.copies.items()})


def clothing(limit: int = 0) -> Pack:
    """Photographs of clothing in ten classes. `limit` selects an even subset."""
    folder = SHARED / "data" / "clothing"
    rows = _table(folder / "labels.csv")
    rows = rows[:: max(1, len(rows) // limit)] if limit else rows
    return Pack("clothing", _read(folder, rows), np.array([r["label"] for r in rows]))


def grocery(limit: int = 0) -> Pack:
    """Groceries: pictures of a catalogue, and photographs from shops. `limit`: of the photographs."""
    folder = SHARED / "data" / "grocery"
    gallery, queries = _table(folder / "gallery.csv"), _table(folder / "queries.csv")
    queries = queries[:: max(1, len(queries) // limit)] if limit else queries
    labels = np.array([r["product"] for r in gallery + queries])
    return Pack("grocery", _read(folder, gallery + queries), labels, len(gallery))


def drawn(forms: int = FORMS) -> Pack:
    """Drawn things: each form in MATERIALS materials, and QUERIES of them as a customer photographs them."""
    catalogue: list[Picture] = []
    queries: list[Picture] = []
    wanted: list[int] = []
    for form in range(forms):
        rng = np.random.default_rng([_DRAWN_SEED, form])
        thing = any_thing(rng)
        things = [replace(thing, material_seed=int(seed)) for seed in rng.integers(1 << 62, size=MATERIALS)]
        catalogue += [catalogue_view(rng, thing) for thing in things]
        chosen = rng.permutation(MATERIALS)[:QUERIES]
        queries += [customer_view(rng, things[n]) for n in chosen]
        wanted += [MATERIALS * form + int(n) for n in chosen]
    labels = np.array([*range(len(catalogue)), *wanted]).astype(str)
    return Pack("drawn", catalogue + queries, labels, len(catalogue))


def with_copies(pack: Pack, count: int = COPIED) -> Pack:
    """The pack with edited copies of some of its pictures."""
    chosen, copies = edited_pictures(pack.pictures, count)
    return replace(pack, chosen=chosen, copies=copies)


def encoded(pack: Pack, encode: Encode) -> Encoded:
    """All vectors of a pack."""
    return Encoded(encode(pack.pictures), {edit: encode(made) for edit, made in pack.copies.items()})


def measured(pack: Pack, vectors: Encoded) -> dict[str, float]:
    """R@1, R@10 and mAP@10 in per cent. Where there are copies: `copies` (their mean), `worst edit`, and each edit."""
    whole, split = vectors.whole, pack.catalogue
    if split:
        found = shop_scores(whole[split:], whole[:split], pack.labels[split:], pack.labels[:split])
    else:
        found = class_scores(whole, pack.labels)
    edits = {edit: found_again(made, whole, pack.chosen) for edit, made in vectors.copies.items()}
    if edits:
        found |= {"copies": sum(edits.values()) / len(edits), "worst edit": min(edits.values())}
    return found | edits


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _read(folder: Path, rows: list[dict[str, str]]) -> list[Picture]:
    read = [cv2.imread(str(folder / row["file"]), cv2.IMREAD_COLOR) for row in rows]
    return [p[:, :, ::-1] for p in read]  # type: ignore[index, misc]
