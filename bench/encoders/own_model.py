"""`make bench-own-model`: quality of tenants' own models against their bases, by examples per label.

It uses the photographs of ../shared and both encoders. A third of each label is held out. Of the rest, the given number
of examples of each label is used. Two controls follow: shuffled labels, which must not be published, and unseen labels.
Figures are medians over draws.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.encoders.builtin import mobilenet_folder, photographs
from bench.environment import write_result
from bench.index.learning import encoded
from service.encoder.registry import BUILTIN_FOLDER
from service.training.evaluation import TooFewExamples, precisions
from service.training.fitting import Fitted, fit

PER_LABEL = (5, 10, 20, 40, 80, 120)
DRAWS, SHUFFLES, UNSEEN = 5, 10, 3
Rows = NDArray[np.int64]


def main() -> None:
    """Measures, prints a table, writes bench/results/own-model.json."""
    pictures, names = photographs(0)
    _, labels = np.unique(np.array(names), return_inverse=True)
    with tempfile.TemporaryDirectory() as folder:
        sources = {"builtin": BUILTIN_FOLDER, "mobilenet-v2": mobilenet_folder(Path(folder))}
        result = {
            name: measured(encoded(source, pictures).astype(np.float64), labels) for name, source in sources.items()
        }
    _show(result)
    print(write_result("own-model", {"draws": DRAWS, "encoders": result}))


def measured(vectors: NDArray[np.float64], labels: Rows) -> dict[str, Any]:
    """All figures of one encoder."""
    by_count = [
        {"per_label": count, **_median([_one(vectors, labels, count, draw) for draw in range(DRAWS)])}
        for count in PER_LABEL
    ]
    fits = [fit(vectors, np.random.default_rng(n).permutation(labels)) for n in range(SHUFFLES)]
    unseen = [_unseen(vectors, labels, draw) for draw in range(DRAWS)]
    return {
        "by_examples": by_count,
        "shuffled": {"fits": SHUFFLES, "published": sum(f.judgement.publishable for f in fits)},
        "unseen_labels": dict(zip(("before", "after"), np.median(np.array(unseen), axis=0).tolist(), strict=True)),
    }


def _one(vectors: NDArray[np.float64], labels: Rows, count: int, draw: int) -> dict[str, float]:
    chance = np.random.default_rng(draw)
    order = [chance.permutation(np.flatnonzero(labels == n)) for n in np.unique(labels)]
    aside = np.concatenate([rows[: len(rows) // 3] for rows in order])
    shown = np.concatenate([rows[len(rows) // 3 :][:count] for rows in order])
    try:
        fitted: Fitted | None = fit(vectors[shown], labels[shown])
    except TooFewExamples:
        fitted = None
    before = float(precisions(vectors[aside], labels[aside])[0].mean())
    if fitted is None or not fitted.judgement.publishable:
        return {"before": before, "after": before, "published": 0.0}
    after = precisions(fitted.projection.apply(vectors[aside]), labels[aside])[0]
    return {"before": before, "after": float(after.mean()), "published": 1.0}


def _unseen(vectors: NDArray[np.float64], labels: Rows, draw: int) -> tuple[float, float]:
    chosen = np.random.default_rng(draw).permutation(np.unique(labels))[:UNSEEN]
    seen = ~np.isin(labels, chosen)
    projection = fit(vectors[seen], labels[seen]).projection
    before = precisions(vectors[~seen], labels[~seen])[0]
    after = precisions(projection.apply(vectors[~seen]), labels[~seen])[0]
    return float(before.mean()), float(after.mean())


def _median(draws: list[dict[str, float]]) -> dict[str, float]:
    found = {name: float(np.median([d[name] for d in draws])) for name in ("before", "after")}
    return {**found, "published": float(np.mean([d["published"] for d in draws]))}


def _show(result: dict[str, Any]) -> None:
    table = Table(
        "encoder", "examples of a label", "mAP@10 of base", "of own model", "published", title="pictures put aside"
    )
    for name, found in result.items():
        for row in found["by_examples"]:
            table.add_row(
                name, str(row["per_label"]), f"{row['before']:.3f}", f"{row['after']:.3f}", f"{row['published']:.0%}"
            )
    Console().print(table)
    for name, found in result.items():
        shuffled, unseen = found["shuffled"], found["unseen_labels"]
        print(f"{name}: {shuffled['published']} of {shuffled['fits']} fits to shuffled labels published; labels never "
              f"seen: {unseen['before']:.3f} -> {unseen['after']:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
