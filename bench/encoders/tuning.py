"""`make bench-tuning`: what means, learned weights and calibrations bring, on two packs and on drawn goods.

Each task is "photograph of a shop or a customer -> picture of the catalogue". The products are dealt into PARTS.
Weights are learned on all parts but one, with the pictures of both sides as records, and measured on the queries of
that one. Queries are centred by the mean that is assumed after COUNTS real ones and after all; before LEAST_QUERIES,
nothing is centred. Centring is also measured on edited copies of the pictures of both packs, which must still be found.
Calibrations are measured on the first ten hits, also of drawn photographs that are hard to recognise; one by the task's
own pairs is fitted on the other parts.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.encoders import packs
from bench.encoders.builtin import photographs
from bench.encoders.packs import SHARED, Pack, with_copies
from bench.encoders.scores import calibrations_of, judged_hits, scores_by, show_scores
from bench.environment import write_result
from bench.index.learning import encoded
from index.vectors.ann.centering import LEAST_QUERIES, QueryMean
from service.encoder.drawn.draw import draw_hard, draw_products
from service.encoder.execution import Hardware
from service.encoder.manifest import BlockSpec, read_manifest
from service.encoder.registry import BUILTIN_FOLDER, EncoderRegistry
from service.tuning.calibration import Calibration
from service.tuning.drawn import weighted
from service.tuning.reading import copies_among
from service.tuning.weights import Sample, choose_weights

HITS, DRAWS, PARTS = 10, 5, 5
COUNTS = (0, 1, 4, 16, 64)
_FIRST_DRAWN, _DRAWN_FORMS = 100_000, 300  # other products than those that are assumed
Vectors = NDArray[np.float32]
Weights = Mapping[str, float]


@dataclass(frozen=True)
class Task:
    """Queries and catalogue: vectors of length 1, shape (n, dimension), and the product of each."""

    queries: Vectors
    catalogue: Vectors
    asked: NDArray[np.int64]
    shown: NDArray[np.int64]


def main() -> None:
    """Measures, prints tables, writes bench/results/tuning.json."""
    cv2.setNumThreads(1)
    manifest = read_manifest(BUILTIN_FOLDER)
    samples = EncoderRegistry(None, "builtin", Hardware(1, "cpu")).drawn_samples(manifest)
    if samples is None:
        raise SystemExit("the built-in encoder has no drawn samples; run `make encoder-drawn`")
    tasks = {"grocery": grocery(), "clothing": clothing(), "drawn": drawn()}
    blocks = manifest.output.blocks
    calibrations = calibrations_of(samples, blocks, manifest.score)
    result = measured(tasks, blocks, calibrations)
    result["drawn, hard"] = {"scores": scores(drawn(hard=True), calibrations)}
    result |= {
        f"copies of {p.name}": {"quality": centred_rows(copies(p), blocks)} for p in (packs.grocery(), packs.clothing())
    }
    show(result)
    print(write_result("tuning", result))


def grocery() -> Task:
    """Shop photographs against catalogue pictures of 31 products."""
    folder, parts = SHARED / "data" / "grocery", []
    for name in ("queries", "gallery"):
        with (folder / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        pictures = [cv2.imread(str(folder / r["file"]))[:, :, ::-1] for r in rows]  # type: ignore[index]
        parts.append((encoded(BUILTIN_FOLDER, pictures), np.array([int(r["product"]) for r in rows])))  # type: ignore[arg-type]
    return Task(parts[0][0], parts[1][0], parts[0][1], parts[1][1])


def copies(pack: Pack) -> Task:
    """Edited copies of some pictures of a pack against all of them."""
    whole = with_copies(pack)
    made = [encoded(BUILTIN_FOLDER, pictures) for pictures in whole.copies.values()]
    originals = np.tile(whole.chosen, len(made))
    return Task(
        np.concatenate(made), encoded(BUILTIN_FOLDER, whole.pictures), originals, np.arange(len(whole.pictures))
    )


def clothing() -> Task:
    """Photographs of clothing, half of them as queries; classes instead of products."""
    pictures, labels = photographs(0)
    vectors, (_, classes) = encoded(BUILTIN_FOLDER, pictures), np.unique(labels, return_inverse=True)
    order = np.random.default_rng(0).permutation(len(vectors))
    half = len(order) // 2
    return Task(vectors[order[:half]], vectors[order[half:]], classes[order[:half]], classes[order[half:]])


def drawn(*, hard: bool = False) -> Task:
    """Drawn photographs against drawn catalogue pictures. hard: photographs in which a product is hard to recognise."""
    products = list(draw_products(_DRAWN_FORMS, _FIRST_DRAWN))
    numbers = np.arange(len(products))
    asked = list(draw_hard(_DRAWN_FORMS, _FIRST_DRAWN)) if hard else [p.photograph for p in products]
    return Task(
        encoded(BUILTIN_FOLDER, asked), encoded(BUILTIN_FOLDER, [p.catalogue for p in products]), numbers, numbers
    )


def measured(
    tasks: Mapping[str, Task], blocks: Sequence[BlockSpec], calibrations: Mapping[str, Calibration]
) -> dict[str, Any]:
    """All figures, by task."""
    found: dict[str, Any] = {}
    for name, task in tasks.items():
        chosen = [learned(task, blocks, part) for part in range(PARTS)]
        rows = centred_rows(task, blocks)
        rows["learned weights"] = quality(task, blocks, chosen)
        rows["learned weights and means, all queries"] = centred_quality(task, blocks, chosen, len(task.queries))
        found[name] = {
            "queries": len(task.queries), "catalogue": len(task.catalogue), "weights": chosen, "quality": rows,
            "scores": scores(task, calibrations),
        }  # fmt: skip
    return found


def centred_rows(task: Task, blocks: Sequence[BlockSpec]) -> dict[str, dict[str, float]]:
    """What centring brings after none, few, many and all queries."""
    plain: list[Weights] = [{}] * PARTS
    counts = {str(n): n for n in COUNTS if n <= len(task.queries)} | {"all": len(task.queries)}
    rows = {f"means, {label} queries": centred_quality(task, blocks, plain, n) for label, n in counts.items()}
    return {"as they are": quality(task, blocks, plain)} | rows


def learned(task: Task, blocks: Sequence[BlockSpec], part: int) -> dict[str, float]:
    """The weights that are beyond doubt by the products of all parts but one; none otherwise."""
    vectors, products = np.concatenate([task.catalogue, task.queries]), np.concatenate([task.shown, task.asked])
    known = ~in_part(products, part)
    vectors, (_, products) = vectors[known], np.unique(products[known], return_inverse=True)
    rows = np.flatnonzero(np.bincount(products)[products] > 1)
    rows = np.random.default_rng(0).permutation(rows)[:800]
    choice = choose_weights(Sample(vectors, products, rows, copies_among(vectors, 0.12)), blocks)
    return {} if choice.doubt else dict(choice.weights)


def in_part(products: NDArray[np.int64], part: int) -> NDArray[np.bool_]:
    """Which products are of a part; the same ones in both sides of a task."""
    names = np.unique(products)
    dealt = dict(zip(np.random.default_rng(3).permutation(names).tolist(), np.arange(len(names)) % PARTS, strict=True))
    return np.array([dealt[p] == part for p in products.tolist()])


def quality(task: Task, blocks: Sequence[BlockSpec], chosen: Sequence[Weights]) -> dict[str, float]:
    """R@1 and mAP@10 of all queries, those of each part under the weights of the others."""
    found = []
    for part in range(PARTS):
        aside, weights = in_part(task.asked, part), chosen[part]
        likeness = weighted(task.queries[aside], blocks, weights) @ weighted(task.catalogue, blocks, weights).T
        found.append(ranked(likeness, task.asked[aside], task.shown))
    return averaged(np.concatenate(found))


def centred_quality(
    task: Task, blocks: Sequence[BlockSpec], chosen: Sequence[Weights], queries: int
) -> dict[str, float]:
    """The same with catalogue and queries centred, as an index orders them; the mean of DRAWS draws of the queries that
    came before."""
    if queries < LEAST_QUERIES:
        return quality(task, blocks, chosen)
    catalogue_mean = task.catalogue.mean(0)
    rows = unit(task.catalogue - catalogue_mean)
    found = []
    for draw in range(DRAWS):
        mean = QueryMean(task.queries.shape[1])
        for vector in np.random.default_rng(draw).permutation(task.queries)[:queries]:
            mean.add(vector)
        moved = task.queries - mean.shrunk(catalogue_mean)
        for part in range(PARTS):
            aside = in_part(task.asked, part)
            scale = np.repeat([chosen[part].get(b.name, 1.0) for b in blocks], [b.size for b in blocks])
            found.append(ranked((moved[aside] * scale) @ rows.T, task.asked[aside], task.shown))
    return averaged(np.concatenate(found))


def ranked(likeness: Vectors, asked: NDArray[np.int64], shown: NDArray[np.int64]) -> NDArray[np.float64]:
    """R@1 and average precision at 10 of each query that has a right answer, shape (n, 2)."""
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :HITS]
    right = (shown[nearest] == asked[:, None]).astype(float)
    relevant = (shown[None, :] == asked[:, None]).sum(1)
    precision = right.cumsum(1) / np.arange(1, right.shape[1] + 1)
    average = (precision * right).sum(1) / np.minimum(np.maximum(relevant, 1), HITS)
    return np.stack([right[:, 0], average], 1)[relevant > 0]


def averaged(values: NDArray[np.float64]) -> dict[str, float]:
    first, precision = (100 * values.mean(0)).round(1).tolist()
    return {"R@1": first, "mAP@10": precision}


def scores(task: Task, calibrations: Mapping[str, Calibration]) -> dict[str, dict[str, Any]]:
    """Surprise, reliability and words of each calibration, on the first hits of all queries."""
    pairs = judged_hits(task.queries @ task.catalogue.T, task.asked, task.shown, HITS)
    return scores_by(calibrations, pairs, [in_part(pairs.groups, part) for part in range(PARTS)])


def unit(vectors: Vectors) -> Vectors:
    """At length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)


def show(result: Mapping[str, Any]) -> None:
    """Prints tables of quality and of scores."""
    measured = {name: found for name, found in result.items() if "quality" in found}
    table = Table("", *(f"{name}: R@1 / mAP@10" for name in measured), box=None)
    for row in next(iter(measured.values()))["quality"]:
        figures = [found["quality"].get(row) for found in measured.values()]
        table.add_row(row, *("{R@1} / {mAP@10}".format(**f) if f else "" for f in figures))
    table.add_row("learned weights", *(str(found.get("weights", "")) for found in measured.values()))
    Console().print(table)
    show_scores(result)


if __name__ == "__main__":
    main()
