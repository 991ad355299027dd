"""`make bench-features`: what the features of a search cost at 100,000 records, beside the plain search, and what they
find: recall of boosted and diversified hits against exact ones, and how many products ten hits show with diversity.

The collection is searched without a server, by one caller. The products of the real catalogue are photographs of
../shared with three alterations each; relevant is what has the class of the query. The drawn catalogue has the same
classes (bench/index/vectors.py).
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.encoders.builtin import mobilenet_folder, photographs
from bench.environment import write_result
from bench.index.vectors import Generator, Vectors, reduced, unit
from index import (
    Boost,
    Collection,
    CollectionSpec,
    DataDirectory,
    Decay,
    Judgement,
    NumberFactor,
    Order,
    RecordWrite,
    SearchQuery,
    Side,
    TenantDirectory,
    Verdict,
    VerdictTally,
)
from service.encoder.alterations import ALTERATIONS
from service.encoder.contract import picture_vectors
from service.encoder.manifest import read_manifest
from service.encoder.preprocess import to_tensor
from service.encoder.session import EncoderSession
from service.engine.feedback import LIKED_WEIGHT

ROWS, DIMENSION, PICTURES, VIEWS, QUERIES, K = 100_000, 384, 600, 4, 100, 10
ROUNDS, SECONDS = 3, 1.0
JUDGED, NEAR = 10_000, 0.1
WEIGHTS = ((0.0, 0.0), (0.75, 0.25), (1.5, 0.5), (1.5, 0.75), (1.5, 1.0), (3.0, 2.0))
SOLD = NumberFactor("sold", 1000.0, 500.0, decay=Decay.LINEAR, side=Side.MORE)
BOOSTS = {
    "boost by a number": (Boost(0.1, number=SOLD),),
    "boosts by number and filters": (
        Boost(0.1, number=SOLD), Boost(0.1, "stock > 0"), Boost(-0.2, 'brand = "b7"'),
        Boost(0.1, number=NumberFactor("added", 365.0, 30.0)),
    ),
    "boost of a rare brand, 0.5": (Boost(0.5, 'brand = "rare"'),),
}  # fmt: skip
DIVERSITIES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7)


def views() -> tuple[Vectors, NDArray[np.str_]]:
    """Embeddings of photographs and their alterations, shape (photographs * VIEWS, DIMENSION), and their classes."""
    pictures, labels = photographs(PICTURES)
    rng, edits = np.random.default_rng(1), itertools.cycle(ALTERATIONS.values())
    every = [p for picture in pictures for p in (picture, *(next(edits)(picture, rng) for _ in range(VIEWS - 1)))]
    with tempfile.TemporaryDirectory() as folder:
        source = mobilenet_folder(Path(folder))
        manifest = read_manifest(source)
        session = EncoderSession(source, manifest, 1)
        starts = range(0, len(every), 16)
        made = [picture_vectors(session, [to_tensor(p, manifest.input) for p in every[i : i + 16]]) for i in starts]
    return reduced(np.concatenate(made), DIMENSION), np.repeat(labels, VIEWS)


def filled(tenant: TenantDirectory, name: str, vectors: Vectors, products: Sequence[str]) -> Collection:
    """A collection with attributes of a shop, without learning."""
    made = tenant.create(CollectionSpec(name, "bench", "f" * 16, vectors.shape[1], learning=False))
    rng = np.random.default_rng(3)
    brands = [f"b{b}" for b in rng.integers(0, 50, len(vectors))]
    numbers = np.stack([rng.pareto(1.0, len(vectors)) * 50, rng.integers(0, 4, len(vectors)),
                        rng.integers(0, 365, len(vectors)), rng.integers(5, 200, len(vectors))], 1)  # fmt: skip
    for start in range(0, len(vectors), 2000):
        writes = []
        for n in range(start, min(len(vectors), start + 2000)):
            sold, stock, added, price = numbers[n].tolist()
            attributes = {"brand": "rare" if n % 1000 == 0 else brands[n], "sold": sold, "stock": stock,
                          "added": added, "price": price, "name": f"product {n:06}"}  # fmt: skip
            writes.append(RecordWrite(str(n), vectors[n], products[n], attributes))
        made.upsert(writes)
    return made


def rates(calls: dict[str, Callable[[int], object]]) -> dict[str, dict[str, float]]:
    """Calls per second and milliseconds of processor time of one, by name: the best of alternating rounds."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call(0)
            done, wall, processor = 0, time.perf_counter(), time.process_time()
            while time.perf_counter() - wall < SECONDS:
                call(done)
                done += 1
            found[name].append(((time.perf_counter() - wall) / done, (time.process_time() - processor) / done))
    return {
        name: {"per_s": round(1 / min(w for w, _ in times), 1), "cpu_ms": round(min(c for _, c in times) * 1000, 3)}
        for name, times in found.items()
    }


def features(collection: Collection, queries: Vectors) -> dict[str, Callable[[int], object]]:
    """Calls by name; each takes the number of the call."""
    ids = [[str(n) for n in np.random.default_rng(i).integers(0, ROWS, 1000)] for i in range(10)]

    def search(**changes: Any) -> Callable[[int], object]:
        return lambda n: collection.search(SearchQuery(queries[n % len(queries)], K, **changes))

    def listed(order: Order | None) -> Callable[[int], object]:
        if order is None:
            return lambda n: collection.page(1000 * (n % 50), 100)
        return lambda n: collection.page_in_order(order, None, 100)

    return {
        "plain": search(),
        "feedback": lambda n: collection.search(
            SearchQuery(moved(collection, queries[n % len(queries)], ids[n % 10][:8]), K, composed=True)
        ),
        "plain, 1,000 hits": lambda n: collection.search(SearchQuery(queries[n % len(queries)], 1000)),
        "grouped": search(group_by_product=True, group_size=2),
        "only 1,000 records": lambda n: collection.search(
            SearchQuery(queries[n % len(queries)], K, only_record_ids=frozenset(ids[n % 10]))
        ),
        "diversity": search(diversity=0.3),
        "diversity, grouped": search(diversity=0.3, group_by_product=True, group_size=2),
        "diversity, 200 hits": lambda n: collection.search(SearchQuery(queries[n % len(queries)], 200, diversity=0.3)),
        **{name: search(boosts=boosts) for name, boosts in BOOSTS.items()},
        "facet of values": search(facets=("brand",)),
        "facet of ranges": search(facets=("price[25,50,100]",)),
        "facets over hits": search(facets=("brand", "price[25,50,100]"), facets_over_hits=True),
        "hits by price": search(order=Order("price")),
        "100 records": listed(None),
        "100 records by price": listed(Order("price")),
        "100 records by name": listed(Order("name", True)),
        "sample of 100": lambda n: collection.sample(100, seed=n),
    }


def moved(collection: Collection, query: NDArray[np.float32], liked: Sequence[str]) -> NDArray[np.float32]:
    """The query after some records were liked, as SearchService moves it: with a look into the store."""
    rows = [r.vector for r in collection.get(liked, vectors=True).values() if r.vector is not None]
    return np.asarray(query + LIKED_WEIGHT * np.mean(rows, axis=0), np.float32)


def boosted_recall(collection: Collection, vectors: Vectors, queries: Vectors) -> dict[str, float]:
    """Share of the ten best by likeness plus boost that are found, by boosts; computed from all rows with numpy."""
    found = {}
    for name, boosts in BOOSTS.items():
        rows = collection.search(SearchQuery(queries[0], ROWS, exact=True, boosts=boosts)).hits
        totals = np.zeros(len(vectors), np.float32)
        for hit in rows:
            totals[int(hit.record.record_id)] = hit.boost
        shares = []
        for query in queries:
            wanted = set(np.argsort(-(vectors @ query + totals))[:K].tolist())
            hits = collection.search(SearchQuery(query, K, boosts=boosts)).hits
            shares.append(len(wanted & {int(h.record.record_id) for h in hits}) / K)
        found[name] = round(float(np.mean(shares)), 4)
    return found


def diverse_recall(collection: Collection, queries: Vectors) -> float:
    """Share of the ten hits with diversity that are those of an exact search."""
    shares = []
    for query in queries:
        wanted, hits = (
            {h.record.record_id for h in collection.search(SearchQuery(query, K, diversity=0.3, exact=exact)).hits}
            for exact in (True, False)
        )
        shares.append(len(wanted & hits) / K)
    return round(float(np.mean(shares)), 4)


def shown(collection: Collection, vectors: Vectors, labels: NDArray[np.str_]) -> list[dict[str, Any]]:
    """By diversity, and with groups instead: distinct products among ten hits, and the share of hits with the class of
    the query. Queries are records, whose own product is left out."""
    ways: dict[str, dict[str, Any]] = {f"diversity {d}": {"diversity": d} for d in DIVERSITIES}
    ways["grouped by product"] = {"group_by_product": True}
    numbers = range(0, len(vectors), max(VIEWS, len(vectors) // (VIEWS * 150) * VIEWS))
    return [{"hits": name, **_shown_by(collection, vectors, labels, numbers, way)} for name, way in ways.items()]


def _shown_by(
    collection: Collection, vectors: Vectors, labels: NDArray[np.str_], queries: Sequence[int], way: dict[str, Any]
) -> dict[str, float]:
    products, precision = [], []
    for query in queries:
        own = frozenset(str(n) for n in range(query, query + VIEWS))
        answer = collection.search(SearchQuery(vectors[query], K, exclude_record_ids=own, **way))
        numbers = [int(h.record.record_id) for h in answer.hits]
        products.append(len({n // VIEWS for n in numbers}))
        precision.append(float(np.mean(labels[numbers] == labels[query])))
    return {"products_in_ten": round(float(np.mean(products)), 2), "precision": round(float(np.mean(precision)), 3)}


def drawn_catalogue(real: Vectors, labels: NDArray[np.str_], products: int) -> tuple[Vectors, NDArray[np.str_]]:
    """Products with VIEWS vectors each, and the class of the nearest photograph."""
    originals = real[::VIEWS]
    centres = Generator(originals).draw(products, 5)
    rng, spread = np.random.default_rng(6), np.repeat(centres, VIEWS, axis=0)
    differences = real.reshape(-1, VIEWS, real.shape[1])[:, 1:] - originals[:, None]
    steps = differences.reshape(-1, real.shape[1])[rng.integers(0, len(differences) * (VIEWS - 1), len(spread))]
    steps[::VIEWS] = 0
    return unit(spread + steps), np.repeat(labels[::VIEWS][np.argmax(centres @ originals.T, 1)], VIEWS)


def judged(collection: Collection) -> dict[str, dict[str, float]]:
    """FindDuplicates without judged pairs and with JUDGED: half of them near pairs that are different, half pairs drawn
    at random that are the same product. And what judging and a search cost then."""
    found = {"no pairs": _grouped(collection)}
    near = [(g.record_ids[0], other) for g in collection.duplicates("", NEAR) for other in g.record_ids[1:]]
    rng = np.random.default_rng(8)
    different = [near[n] for n in rng.permutation(len(near))[: JUDGED // 2].tolist()]
    judgements = [Judgement(one, other, Verdict.DIFFERENT) for one, other in different]
    while len(judgements) < JUDGED:
        one, other = (str(n) for n in rng.integers(0, ROWS, 2).tolist())
        judgements.append(Judgement(one, other, Verdict.SAME_PRODUCT))
    begun = time.process_time()
    for start in range(0, JUDGED, 1000):
        collection.judged_pairs.judge(judgements[start : start + 1000])
    found["judging 1,000 pairs"] = {"cpu_s": round((time.process_time() - begun) * 1000 / JUDGED, 3)}
    found[f"{JUDGED} pairs"] = _grouped(collection)
    return found


def _grouped(collection: Collection) -> dict[str, float]:
    wall, processor, groups, largest = time.perf_counter(), time.process_time(), 0, 0
    stream = collection.duplicates("", NEAR)
    while True:
        try:
            largest = max(largest, len(next(stream).record_ids))
        except StopIteration as end:
            tally: VerdictTally = end.value
            break
        groups += 1
    return {
        "cpu_s": round(time.process_time() - processor, 1), "wall_s": round(time.perf_counter() - wall, 1),
        "groups": groups, "largest": largest, "left_out": tally.left_out, "merged": tally.merged,
    }  # fmt: skip


def rounds_of_feedback(vectors: Vectors, labels: NDArray[np.str_]) -> dict[str, list[float]]:
    """Share of ten new hits with the class of the query, by round, when each round likes those of the last that have it
    and dislikes the others; by the weights of liked and disliked records."""
    return {
        f"{likes}, {dislikes}": [round(float(np.mean(shares)), 3) for shares in zip(*(
            _rounds(vectors, labels, query, likes, dislikes) for query in range(0, len(vectors), 3)
        ), strict=True)]
        for likes, dislikes in WEIGHTS
    }  # fmt: skip


def _rounds(vectors: Vectors, labels: NDArray[np.str_], query: int, likes: float, dislikes: float) -> list[float]:
    relevant, seen, shares = labels == labels[query], np.zeros(len(vectors), np.bool_), []
    seen[query] = True
    for number in range(4):
        moved = vectors[query].astype(np.float64)
        judged = seen.copy()
        judged[query] = False
        if number:
            for rows, weight in ((judged & relevant, likes), (judged & ~relevant, -dislikes)):
                moved = moved + weight * vectors[rows].mean(0) if rows.any() else moved
        shown = np.argsort(np.where(seen, -np.inf, vectors @ moved))[::-1][:K]
        shares.append(float(relevant[shown].mean()))
        seen[shown] = True
    return shares


def main() -> None:
    """Measures, prints, writes bench/results/search-features.json."""
    real, labels = views()
    drawn, drawn_labels = drawn_catalogue(real, labels, 5000)
    generator = Generator(real[::VIEWS])
    vectors, queries = generator.draw(ROWS, 1), generator.draw(QUERIES, 99)
    with tempfile.TemporaryDirectory() as name:
        tenant = TenantDirectory(DataDirectory(Path(name)).tenant("a" * 32), bytes(32))
        catalogues = {}
        for kind, (rows, classes) in {"real": (real, labels), "drawn": (drawn, drawn_labels)}.items():
            made = filled(tenant, kind, rows, [f"p{n // VIEWS}" for n in range(len(rows))])
            catalogues[kind] = shown(made, rows, classes)
        large = filled(tenant, "large", vectors, [f"p{n // VIEWS}" for n in range(ROWS)])
        large.build_ann_index()
        result = {
            "rows": ROWS, "dimension": DIMENSION, "k": K,
            "recall_boosted": boosted_recall(large, vectors, queries), "recall_diverse": diverse_recall(large, queries),
            "products": catalogues, "rates": rates(features(large, queries)), "judged": judged(large),
            "feedback": rounds_of_feedback(real[::VIEWS], labels[::VIEWS]),
        }  # fmt: skip
        tenant.close()
    _show(result)
    write_result("search-features", result)


def _show(result: dict[str, Any]) -> None:
    console, table = Console(width=120), Table("search", "per second", "CPU ms", "beside plain")
    plain = result["rates"]["plain"]["cpu_ms"]
    for name, figures in result["rates"].items():
        table.add_row(name, f"{figures['per_s']:,}", f"{figures['cpu_ms']}", f"{figures['cpu_ms'] / plain:.1f}")
    console.print(table)
    for kind, rows in result["products"].items():
        table = Table("hits", "products in ten", "precision", title=f"{kind} catalogue")
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        console.print(table)
    table = Table("duplicates", "CPU s", "groups", "largest", "left out", "merged")
    for name, figures in result["judged"].items():
        table.add_row(name, *(str(figures.get(f, "")) for f in ("cpu_s", "groups", "largest", "left_out", "merged")))
    console.print(table)
    console.print(f"precision by round of feedback, by weights: {result['feedback']}")
    console.print(f"recall of boosted hits {result['recall_boosted']}, of diverse ones {result['recall_diverse']}")


if __name__ == "__main__":
    main()
