"""How far scores and words for likeness can be relied on, on the first ten hits of each query of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from service.encoder.drawn.samples import DrawnSamples
from service.encoder.manifest import BlockSpec, ScoreSpec
from service.tuning.calibration import Calibration, Likeness
from service.tuning.curve import LabelledDistances, fitted_curve, losses, reliability, scores_of
from service.tuning.drawn import calibration_of_drawn

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]


def calibrations_of(samples: DrawnSamples, blocks: Sequence[BlockSpec], score: ScoreSpec) -> dict[str, Calibration]:
    """Those that need no picture of the task: the encoder's, and two of drawn pictures."""
    near = score.near_duplicate_distance
    return {
        "encoder": Calibration.of_encoder(score),
        "drawn, easy ones alone": calibration_of_drawn(replace(samples, hard=None), blocks, {}, near),
        "drawn": calibration_of_drawn(samples, blocks, {}, near),
    }


def judged_hits(likeness: Vectors, asked: Numbers, shown: Numbers, hits: int) -> LabelledDistances:
    """The first hits of each query. likeness: (queries, catalogue); asked, shown: the product of each."""
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :hits]
    distances = 1 - np.take_along_axis(likeness, nearest, 1).astype(np.float64).ravel()
    groups = np.repeat(asked, nearest.shape[1])
    return LabelledDistances(distances, shown[nearest].ravel() == groups, groups)


def scores_by(
    calibrations: Mapping[str, Calibration], pairs: LabelledDistances, parts: Sequence[NDArray[np.bool_]]
) -> dict[str, dict[str, Any]]:
    """Surprise, reliability and words of each calibration. parts: the pairs of each; a curve by the task's own pairs is
    fitted on all other parts."""
    found = {name: judged(pairs, [c.curve] * len(parts), parts) | words(c, pairs) for name, c in calibrations.items()}
    own = [fitted_curve(pairs.of(~part), 0.12) for part in parts]
    return found | {"own pairs": judged(pairs, own, parts)}


def judged(pairs: LabelledDistances, curves: Sequence[ScoreSpec], parts: Sequence[NDArray[np.bool_]]) -> dict[str, Any]:
    """How pairs of each part are scored by its curve."""
    aside = [pairs.of(part) for part in parts]
    scores = np.concatenate([scores_of(c, p.distances) for c, p in zip(curves, aside, strict=True)])
    lost = np.concatenate([losses(c, p) for c, p in zip(curves, aside, strict=True)])
    bins = reliability(scores, np.concatenate([p.same for p in aside]))
    error = sum(b.pairs * abs(b.score - b.share) for b in bins) / len(lost)
    return {
        "loss": round(float(lost.mean()), 3), "calibration_error": round(error, 3),
        "reliability": [{k: round(v, 3) for k, v in asdict(b).items()} for b in bins],
    }  # fmt: skip


def words(calibration: Calibration, pairs: LabelledDistances) -> dict[str, Any]:
    """The limits of each word, how many pairs it is said of, and how many of them are the same product."""
    said = np.array([calibration.likeness(d).name for d in pairs.distances.tolist()])
    rows = {}
    for word in Likeness:
        of_word = pairs.same[said == word.name]
        limit = calibration.limits.get(word)
        rows[word.name] = {
            "max_distance": None if limit is None else round(limit, 3), "pairs": len(of_word),
            "share": round(float(of_word.mean()), 3) if len(of_word) else None,
        }  # fmt: skip
    return {"midpoint": calibration.curve.midpoint, "width": calibration.curve.width, "words": rows}


def show_scores(result: Mapping[str, Any]) -> None:
    """Prints a table of scores and one of words, for each task that has them."""
    scored = {name: found["scores"] for name, found in result.items() if "scores" in found}
    table = Table("scores by", *(f"{name}: loss, error" for name in scored), box=None)
    for row in next(iter(scored.values())):
        table.add_row(row, *("{loss}, {calibration_error}".format(**found[row]) for found in scored.values()))
    Console().print(table)
    for name, found in scored.items():
        of_words = {row: f["words"] for row, f in found.items() if "words" in f}
        table = Table(f"{name}, said of", *(f"{row}: pairs, right" for row in of_words), box=None)
        for word in Likeness:
            cells = [w[word.name] for w in of_words.values()]
            table.add_row(word.name, *(f"{c['pairs']}, {c['share']}" for c in cells))
        Console().print(table)
