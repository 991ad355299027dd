"""`make bench-encoder`: quality, speed and size of the built-in encoder and of others.

Needs the photographs and the model in ../shared (not part of the project). One run measures all contenders on the same
pictures and cores. Latency is the median of COST_ROUNDS medians of LATENCY_ROUNDS calls, with the contenders in turn.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.encoders.retrieval import Vectors, class_scores, edited_pictures, found_again
from bench.environment import write_result
from service.encoder.alterations import ALTERATIONS, Picture
from service.encoder.builtin.build import build_files
from service.encoder.builtin.graph import Precision
from service.encoder.builtin.weights import read_weights
from service.encoder.contract import picture_vectors
from service.encoder.manifest import Manifest, model_digest, read_manifest
from service.encoder.preprocess import to_tensor
from service.encoder.registry import BUILTIN_FOLDER
from service.encoder.session import EncoderSession

SHARED = Path(__file__).parents[3] / "shared"
EARLIER_FOLDER = BUILTIN_FOLDER.parent / "earlier" / "builtin-1"
COST_ROUNDS, LATENCY_ROUNDS, BATCHES, THREADS = 3, 30, (1, 8), (1, 2)
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")
EMPHASES = ({"colour": 0.0}, {"colour": 4.0}, {"colour": 20.0}, {"shape": 0.0})


@dataclass(frozen=True)
class Contender:
    """An encoder that computes vectors of pictures."""

    name: str
    encode: Callable[[list[Picture]], Vectors]


def main() -> None:
    """Measures, prints a table, writes bench/results/encoder.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=0, help="take so many photographs only")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures, labels = photographs(options.limit)
    chosen, copies = edited_pictures(pictures)
    with tempfile.TemporaryDirectory() as folder:
        models = model_folders(Path(folder))
        contenders = [Contender("Lab histogram", histograms), *(_of_model(n, f) for n, f in models.items())]
        made = {c.name: _vectors(c, pictures, copies) for c in contenders}
        made |= parts_of_builtin(made["built-in"])
        quality = {name: scores(*vectors, labels, chosen) for name, vectors in made.items()}
        rounds = [{name: costs(path) for name, path in models.items()} for _ in range(COST_ROUNDS)]
        cost = {name: _median_of([r[name] for r in rounds]) for name in models}
    result = {"pictures": len(pictures), "quality": quality, "cost": cost, "emphasis": emphasis(made["built-in"][0])}
    _print(quality, cost)
    print(write_result("encoder", result))


def photographs(limit: int) -> tuple[list[Picture], NDArray[np.str_]]:
    """The photographs, RGB, and their classes. `limit` selects an even subset."""
    folder = SHARED / "data" / "clothing"
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = rows[:: max(1, len(rows) // limit)] if limit else rows
    read = [cv2.imread(str(folder / row["file"]), cv2.IMREAD_COLOR) for row in rows]
    return [p[:, :, ::-1] for p in read], np.array([row["label"] for row in rows])  # type: ignore[index, misc]


def model_folders(folder: Path) -> dict[str, Path]:
    """Encoders by name, each a folder with a model and its manifest."""
    found = {"built-in": BUILTIN_FOLDER, "built-in, version 1": EARLIER_FOLDER}
    for precision in PRECISIONS:
        target = folder / precision
        target.mkdir()
        for name, content in build_files(read_weights(), precision).items():
            (target / name).write_bytes(content)
        found[f"built-in, weights in {precision}"] = target
    return found | {"MobileNetV2 (ImageNet)": mobilenet_folder(folder)}


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


def _of_model(name: str, folder: Path) -> Contender:
    manifest = read_manifest(folder)
    session = EncoderSession(folder, manifest, 2)

    def encode(pictures: list[Picture]) -> Vectors:
        starts = range(0, len(pictures), 16)
        return np.concatenate([picture_vectors(session, _tensors(pictures[i : i + 16], manifest)) for i in starts])

    return Contender(name, encode)


def _tensors(pictures: list[Picture], manifest: Manifest) -> NDArray[np.generic]:
    return np.stack([to_tensor(p, manifest.input) for p in pictures])


def _vectors(
    contender: Contender, pictures: list[Picture], copies: dict[str, list[Picture]]
) -> tuple[Vectors, dict[str, Vectors]]:
    console = Console(stderr=True)
    done = track(copies.items(), contender.name, console=console, transient=True)
    return contender.encode(pictures), {edit: contender.encode(made) for edit, made in done}


def parts_of_builtin(
    whole: tuple[Vectors, dict[str, Vectors]],
) -> dict[str, tuple[Vectors, dict[str, Vectors]]]:
    """Stage A (without the trained head) and stage B (the head alone): ranges of the same vectors."""
    colour, shape = (b.size for b in read_manifest(BUILTIN_FOLDER).output.blocks)
    head = read_weights().head.dimension
    ranges = {
        "stage A alone (closed form)": slice(0, colour + shape - head),
        "stage B alone (trained head)": slice(colour + shape - head, None),
        "colour block alone": slice(0, colour),
        "shape block alone": slice(colour, None),
    }
    return {n: (_unit(whole[0][:, r]), {e: _unit(v[:, r]) for e, v in whole[1].items()}) for n, r in ranges.items()}


def scores(
    originals: Vectors, copies: dict[str, Vectors], labels: NDArray[np.str_], chosen: NDArray[np.int64]
) -> dict[str, Any]:
    """Class retrieval, every edit, and the mean of R@1, mAP@10 and the mean edit."""
    by_class = class_scores(originals, labels)
    edits = {edit: found_again(copies[edit], originals, chosen) for edit in ALTERATIONS}
    near = statistics.fmean(edits.values())
    mean = (by_class["R@1"] + by_class["mAP@10"] + near) / 3
    figures = {**by_class, "near_duplicates": near, "mean": mean}
    return {"dimension": originals.shape[1], **_rounded(figures), "edits": _rounded(edits)}


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


def _print(quality: dict[str, Any], cost: dict[str, Any]) -> None:
    table = Table("encoder", "numbers", "R@1", "mAP@10", "near-dup.", "mean", "ms, 1 thread", "MB")
    for name, q in quality.items():
        c = cost.get(name, {})
        ms, size = c.get("threads_1_batch_1_ms", ""), c.get("megabytes", "")
        figures = (q["dimension"], q["R@1"], q["mAP@10"], q["near_duplicates"], q["mean"], ms, size)
        table.add_row(name, *(str(f) for f in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
