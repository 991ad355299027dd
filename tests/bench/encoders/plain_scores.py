"""Retrieval figures by plain loops, and a plain encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.encoder.alterations import Picture
from service.encoder.retrieval import Vectors

K = 10


def scores(queries: Vectors, wanted: Sequence[str], rows: Vectors, labels: Sequence[str]) -> dict[str, float]:
    """R@1, R@10 and mAP@10 in per cent, of queries with something to find. No two similarities may be equal."""
    first, among, average = [], [], []
    for query, label in zip(queries, wanted, strict=True):
        if label not in labels:
            continue
        order = sorted(range(len(rows)), key=lambda n: -float(query @ rows[n]))[:K]
        right = [labels[n] == label for n in order]
        first.append(right[0])
        among.append(any(right))
        precisions = [sum(right[: place + 1]) / (place + 1) for place, hit in enumerate(right) if hit]
        average.append(sum(precisions) / min(K, list(labels).count(label)))
    return {f"{name}": 100 * float(np.mean(v)) for name, v in (("R@1", first), ("R@10", among), ("mAP@10", average))}


def leave_one_out(vectors: Vectors, labels: Sequence[str]) -> dict[str, float]:
    """The same, of each row against all others."""
    every = []
    for n, label in enumerate(labels):
        others = [m for m in range(len(labels)) if m != n]
        if label in [labels[m] for m in others]:
            every.append(scores(vectors[n : n + 1], [label], vectors[others], [labels[m] for m in others]))
    return {name: float(np.mean([one[name] for one in every])) for name in every[0]}


def nearest_is_own(copies: Vectors, originals: Vectors, chosen: Sequence[int]) -> float:
    """Per cent of copies whose most similar original is their own."""
    right = [
        max(range(len(originals)), key=lambda n: float(copy @ originals[n])) == own
        for copy, own in zip(copies, chosen, strict=True)
    ]
    return 100 * float(np.mean(right))


def colours(pictures: list[Picture]) -> Vectors:
    """Histograms of colours in two parts of a picture, of length 1, shape (pictures, 128)."""
    made = []
    for picture in pictures:
        middle = picture.shape[0] // 2
        parts = (picture[:middle], picture[middle:])
        counts = [
            np.histogramdd(part.reshape(-1, 3), bins=(4, 4, 4), range=[(0, 256)] * 3)[0].ravel() / part.size
            for part in parts
        ]
        vector = np.concatenate(counts)
        made.append(vector / np.linalg.norm(vector))
    return np.array(made, np.float32)
