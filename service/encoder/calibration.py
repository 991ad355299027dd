"""From distances to scores: measured on pictures, for one encoder.

Unrelated pictures say where likeness ends, altered copies where a near-duplicate does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.encoder.alterations import ALTERATIONS, Picture
from service.encoder.contract import Encoder, picture_vectors
from service.encoder.manifest import ScoreSpec
from service.encoder.preprocess import to_tensor

_BATCH = 8
_SEED = 11
_MOST_PAIRS = 200_000
_IDENTICAL = 1e-4  # nearer than that, two files are the same picture
_MIDPOINT_QUANTILE, _LOW_QUANTILE = 0.001, 0.02
_NEAR_SHARE, _NEAR_COPIES = 0.4, 0.95
LEAST_PICTURES = 50
Distances = NDArray[np.floating]


@dataclass(frozen=True)
class Calibration:
    """strangers: cosine distances of unrelated pictures, ascending. copies: of altered copies to their originals, by
    alteration, ascending. score: what follows. separated: share of the copies nearer than the near-duplicate distance,
    and of the strangers, which should be none."""

    strangers: Distances
    copies: dict[str, Distances]
    score: ScoreSpec
    separated: tuple[float, float]


def calibrate(
    encoder: Encoder, pictures: Sequence[Picture], progress: Callable[[Sequence[Picture]], Iterable[Picture]]
) -> Calibration:
    """Measures an encoder on pictures of different things, RGB. `progress` wraps what is gone through once.

    Raises ValueError where there are fewer than LEAST_PICTURES.
    """
    if len(pictures) < LEAST_PICTURES:
        raise ValueError(f"{len(pictures)} pictures are too few for a measurement; pass at least {LEAST_PICTURES}")
    rng = np.random.default_rng(_SEED)
    spec = encoder.manifest.input
    originals, altered = [], []
    for picture in progress(pictures):
        tensors = [to_tensor(p, spec) for p in (picture, *(alter(picture, rng) for alter in ALTERATIONS.values()))]
        vectors = np.concatenate(
            [picture_vectors(encoder, tensors[i : i + _BATCH]) for i in range(0, len(tensors), _BATCH)]
        )
        originals.append(vectors[0])
        altered.append(vectors[1:])
    base = np.stack(originals).astype(np.float64)
    to_copies = np.maximum(0, 1 - np.einsum("nd,ned->ne", base, np.stack(altered)))
    copies = {name: np.sort(to_copies[:, i]) for i, name in enumerate(ALTERATIONS)}
    strangers = _strangers(base, rng)
    score = score_of(strangers, np.sort(to_copies.ravel()))
    near = score.near_duplicate_distance
    return Calibration(strangers, copies, score, (float((to_copies <= near).mean()), float((strangers <= near).mean())))


def score_of(strangers: Distances, copies: Distances | None = None) -> ScoreSpec:
    """Half the score where one stranger in a thousand is as near, a tenth where one in fifty is. Near-duplicates are
    what nearly all copies are, and well within the distance where strangers begin."""
    midpoint, low = (float(np.quantile(strangers, q)) for q in (_MIDPOINT_QUANTILE, _LOW_QUANTILE))
    near = _NEAR_SHARE * midpoint
    if copies is not None:
        near = min(near, float(np.quantile(copies, _NEAR_COPIES)))
    return ScoreSpec(
        midpoint=round(max(midpoint, 1e-3), 4),
        width=round(max((low - midpoint) / np.log(9), 1e-3), 4),
        near_duplicate_distance=round(near, 4),
    )


def _strangers(vectors: Distances, rng: np.random.Generator) -> Distances:
    rows, columns = np.triu_indices(len(vectors), 1)
    if len(rows) > _MOST_PAIRS:
        chosen = rng.choice(len(rows), _MOST_PAIRS, replace=False)
        rows, columns = rows[chosen], columns[chosen]
    apart = 1 - np.einsum("nd,nd->n", vectors[rows], vectors[columns])
    return np.sort(apart[apart > _IDENTICAL])
