"""`make bench-encoder`: quality, speed and size of the built-in encoder and of others, on several packs of pictures.

Needs the photographs and the model in ../shared (not part of the project). One run measures all contenders on the same
pictures and cores. Latency is the median of COST_ROUNDS medians of LATENCY_ROUNDS calls, with the contenders in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.encoders import packs
from bench.encoders.criterion import criterion, losses_against
from bench.encoders.packs import SHARED, Encode, Encoded, Pack
from bench.environment import write_result
from service.encoder.alterations import Picture
from service.encoder.builtin.build import build_files
from service.encoder.builtin.graph import Precision
from service.encoder.builtin.weights import read_weights
from service.encoder.contract import picture_vectors
from service.encoder.manifest import Manifest, model_digest, read_manifest
from service.encoder.preprocess import to_tensor
from service.encoder.registry import BUILTIN_FOLDER
from service.encoder.retrieval import Vectors
from service.encoder.session import EncoderSession

EARLIER = BUILTIN_FOLDER.parent / "earlier"
COST_ROUNDS, LATENCY_ROUNDS, BATCHES, THREADS = 3, 30, (1, 8), (1, 2)
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")
EMPHASES = ({"colour": 0.0}, {"colour": 4.0}, {"colour": 20.0}, {"shape": 0.0})
PRESENT, BEFORE, REFERENCE = "built-in", "built-in, version 2", "MobileNetV2 (ImageNet)"
HISTOGRAM = "Lab histogram"
Quality = dict[str, dict[str, dict[str, float]]]  # by encoder, pack and figure


def main() -> None:
    """Measures, prints a table, writes bench/results/encoder.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=0, help="take so many photographs of a pack, and forms, only")
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        help="names of encoders; the built-in one, version 2 and MobileNetV2 always are",
    )
    options = parser.parse_args()
    limit, only = options.limit, {PRESENT, BEFORE, REFERENCE, *options.only}
    cv2.setNumThreads(1)
    chosen = [packs.with_copies(packs.clothing(limit)), packs.with_copies(packs.grocery(limit)),
              packs.drawn(limit or packs.FORMS)]  # fmt: skip
    quality: Quality = {}
    with tempfile.TemporaryDirectory() as folder:
        models = {n: f for n, f in model_folders(Path(folder)).items() if n in only or not options.only}
        encoders = {n: encoder_of(f) for n, f in models.items() if "weights" not in n}
        encoders |= {} if options.only else {HISTOGRAM: histograms}
        for name, encode in encoders.items():
            made = {p.name: packs.encoded(p, tracked(f"{name}, {p.name}", encode)) for p in chosen}
            quality[name] = _measured(chosen, made)
            if name == PRESENT:
                vectors = made["clothing"].whole
                quality |= {part: _measured(chosen, parted) for part, parted in parts_of_builtin(made).items()}
        stored = {n: _precision(encoder_of(f), chosen) for n, f in models.items() if "weights" in n}
        rounds = [{name: costs(path) for name, path in models.items()} for _ in range(COST_ROUNDS)]
        cost = {name: _median_of([r[name] for r in rounds]) for name in models}
    criteria = {name: round(criterion(found, quality[REFERENCE]), 2) for name, found in quality.items()}
    result = {
        "pictures": {p.name: len(p.pictures) for p in chosen}, "quality": quality, "criterion": criteria,
        "below version 2": losses_against(quality[PRESENT], quality[BEFORE]), "precision": stored, "cost": cost,
        "emphasis": emphasis(vectors),
    }  # fmt: skip
    _print(quality, criteria, cost)
    print(write_result("encoder", result))


def photographs(limit: int) -> tuple[list[Picture], NDArray[np.str_]]:
    """The photographs of clothing, RGB, and their classes. `limit` selects an even subset."""
    pack = packs.clothing(limit)
    return pack.pictures, pack.labels


def model_folders(folder: Path) -> dict[str, Path]:
    """Encoders by name, each a folder with a model and its manifest."""
    found = {PRESENT: BUILTIN_FOLDER, BEFORE: EARLIER / "builtin-2", "built-in, version 1": EARLIER / "builtin-1"}
    for precision in PRECISIONS:
        target = folder / precision
        target.mkdir()
        for name, content in build_files(read_weights(), precision).items():
            (target / name).write_bytes(content)
        found[f"built-in, weights in {precision}"] = target
    return found | {REFERENCE: mobilenet_folder(folder)}


def mobilenet_folder(folder: Path) -> Path:
    source = SHARED / "models" / "mobilenet_v2_224"
    stated = json.loads((source / "manifest.json").read_text())
    manifest = {
        "id": "mobilenet-v2", "version": "1", "license": "Apache-2.0", "model": "model.onnx",
        "sha256": model_digest(source / "model.onnx"),
        "input": {"name": stated["input_name"], "size": stated["input_size"], "scale": stated["scale"],
                  "mean": stated["mean"], "std": stated["std"]},
        "output": {"name": stated["output_name"], "dimension": stated["dims"]},
    }  # fmt: skip
    target = folder / "mobilenet"
    target.mkdir()
    (target / "encoder.json").write_text(json.dumps(manifest))
    (target / "model.onnx").symlink_to(source / "model.onnx")
    return target


def histograms(pictures: list[Picture]) -> Vectors:
    """Joint 5 x 8 x 8 histograms of CIE Lab, square-rooted: the simplest baseline for colours."""
    made = []
    for picture in pictures:
        lab = cv2.cvtColor(cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32) / 255,
                           cv2.COLOR_RGB2LAB).reshape(-1, 3)  # fmt: skip
        curved = np.stack([lab[:, 0], *(np.sign(lab[:, i]) * np.sqrt(np.abs(lab[:, i])) for i in (1, 2))], 1)
        counts, _ = np.histogramdd(curved, bins=(5, 8, 8), range=((0, 100), (-9, 9), (-9, 9)))
        root = np.sqrt(counts.ravel())
        made.append(root / np.linalg.norm(root))
    return np.array(made, np.float32)


def encoder_of(folder: Path) -> Encode:
    """Computes vectors of pictures, on one core."""
    manifest = read_manifest(folder)
    session = EncoderSession(folder, manifest, 1)

    def encode(pictures: list[Picture]) -> Vectors:
        starts = range(0, len(pictures), 16)
        return np.concatenate([picture_vectors(session, _tensors(pictures[i : i + 16], manifest)) for i in starts])

    return encode


def _tensors(pictures: list[Picture], manifest: Manifest) -> NDArray[np.generic]:
    return np.stack([to_tensor(p, manifest.input) for p in pictures])


def tracked(title: str, encode: Encode) -> Encode:
    """The same, with a bar."""

    def encode_some(pictures: list[Picture]) -> Vectors:
        starts = range(0, len(pictures), 64)
        bar = track(starts, title, console=Console(stderr=True), transient=True)
        return np.concatenate([encode(pictures[i : i + 64]) for i in bar])

    return encode_some


def parts_of_builtin(made: dict[str, Encoded]) -> dict[str, dict[str, Encoded]]:
    """The vectors of each part alone, and of both parts of the shape block."""
    colour, instance, _ = read_weights().part_sizes
    ranges = {
        "colour part alone": slice(0, colour), "instance part alone": slice(colour, colour + instance),
        "family part alone": slice(colour + instance, None), "without colour": slice(colour, None),
        "without instance": np.r_[:colour, colour + instance : made["drawn"].whole.shape[1]],
        "without family": slice(0, colour + instance),
    }  # fmt: skip
    return {
        name: {pack: vectors.weighted(lambda v, r=places: _unit(v[:, r])) for pack, vectors in made.items()}  # type: ignore[misc]
        for name, places in ranges.items()
    }


def _measured(chosen: list[Pack], made: dict[str, Encoded]) -> dict[str, dict[str, float]]:
    return {
        p.name: {"numbers": made[p.name].whole.shape[1], **_rounded(packs.measured(p, made[p.name]))} for p in chosen
    }


def _precision(encode: Encode, chosen: list[Pack]) -> dict[str, dict[str, float]]:
    """The figures without copies."""
    return {p.name: _rounded(packs.measured(p, Encoded(encode(p.pictures), {}))) for p in chosen}


def costs(folder: Path) -> dict[str, Any]:
    """File size, and milliseconds per picture by threads and batch, separately for model and preprocessing."""
    manifest = read_manifest(folder)
    picture = np.random.default_rng(0).integers(0, 256, (480, 360, 3), np.uint8)
    found: dict[str, Any] = {"megabytes": round((folder / manifest.model).stat().st_size / 1e6, 2)}
    found["preprocess_ms"] = _median_ms(lambda: to_tensor(picture, manifest.input))
    for threads in THREADS:
        session = EncoderSession(folder, manifest, threads)
        for batch in BATCHES:
            tensors = _tensors([picture] * batch, manifest)
            taken = _median_ms(lambda s=session, t=tensors: s.run(t))  # type: ignore[misc]
            found[f"threads_{threads}_batch_{batch}_ms"] = round(taken / batch, 2)
    return found


def _median_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: round(statistics.median(r[name] for r in rounds), 2) for name in rounds[0]}


def emphasis(vectors: Vectors) -> list[dict[str, Any]]:
    """The effect of block weights on an approximate index without support for them.

    It is recall@10 of HNSW for the weighted queries, against exact search with them. The index of this version searches
    weighted queries exactly.
    """
    import faiss

    from service.engine.emphasis import emphasised

    blocks = read_manifest(BUILTIN_FOLDER).output.blocks
    graph = faiss.IndexHNSWFlat(vectors.shape[1], 24, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = 200
    graph.add(vectors)
    graph.hnsw.efSearch = 64
    rows = []
    for weights in ({}, *EMPHASES):
        queries = np.stack([emphasised(v, blocks, weights).vector for v in vectors])
        exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
        found = graph.search(queries, 10)[1]
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact.tolist(), found.tolist(), strict=True)])
        rows.append({"emphasis": weights, "hnsw_recall@10": round(float(recall), 4)})
    return rows


def _median_ms(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(LATENCY_ROUNDS):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)
    return round(statistics.median(taken), 2)


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in figures.items()}


def _print(quality: Quality, criteria: dict[str, float], cost: dict[str, Any]) -> None:
    columns = {f"{p} {f}": (p, f) for p in ("clothing", "grocery") for f in ("R@1", "mAP@10", "copies", "worst edit")}
    columns["drawn R@1"] = ("drawn", "R@1")
    table = Table("encoder", "numbers", *columns, "criterion", "ms, 1 thread", "MB")
    for name, q in quality.items():
        c = cost.get(name, {})
        figures = [q["drawn"]["numbers"], *(q[p][f] for p, f in columns.values()), criteria[name]]
        table.add_row(name, *map(str, figures), *(str(c.get(k, "")) for k in ("threads_1_batch_1_ms", "megabytes")))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
