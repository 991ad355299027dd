"""Tries an encoder on drawn pictures: whether it keeps to `service.encoder.contract`, and sees anything at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from service.encoder.calibration import score_of
from service.encoder.contract import Encoder, picture_vectors
from service.encoder.drawn.draw import MATERIALS, DrawnProduct, draw_products
from service.encoder.manifest import ScoreSpec
from service.encoder.preprocess import to_tensor
from service.encoder.session import first_line

FORMS = 8
_FIRST = 1 << 20  # apart from the products of `drawn.npz`
_BATCH = 8
_SAME, _SAME_HALF = 1e-5, 1e-3  # cosine distance of vectors that count as equal, by the precision of the model
_LEAST_LENGTH = 0.5  # of a vector of length 1, or 0 where the model gives nothing
_COLLAPSED, _NARROW = 1e-6, 1e-2  # median cosine distance of different things
Vectors = NDArray[np.float32]
Progress = Callable[[Sequence[DrawnProduct]], Iterable[DrawnProduct]]


class State(StrEnum):
    """How a check ended. WARNING: the model can be used, but something is likely wrong."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class TrialCheck:
    """One thing that was tried. detail: what was seen, and the remedy where it is not ok."""

    name: str
    state: State
    detail: str


@dataclass(frozen=True)
class Checks:
    """All checks of a model, in order."""

    checks: tuple[TrialCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether the model can be used."""
        return all(check.state is not State.FAILED for check in self.checks)


@dataclass(frozen=True)
class Trial(Checks):
    """All checks of an encoder, and a curve for scores by the distances between the drawn things; None where they
    fail."""

    score: ScoreSpec | None


def try_encoder(encoder: Encoder, progress: Progress) -> Trial:
    """Encodes FORMS x MATERIALS drawn products, each in two pictures. `progress` wraps what is gone through once.

    Raises nothing of the encoder's: what it raises becomes a check that failed.
    """
    spec = encoder.manifest.input
    products = list(draw_products(FORMS, _FIRST))
    pairs = [(to_tensor(p.catalogue, spec), to_tensor(p.photograph, spec)) for p in products]
    try:
        made = [picture_vectors(encoder, list(pair)) for pair, _ in zip(pairs, progress(products), strict=True)]
    except Exception as error:  # whatever an encoder raises
        return Trial((TrialCheck("runs", State.FAILED, first_line(error)),), None)
    if min(float(np.linalg.norm(vectors, axis=1).min()) for vectors in made) < _LEAST_LENGTH:
        return Trial((TrialCheck("runs", State.FAILED, "the vector of a drawn picture is all zero"),), None)
    catalogue, photographs = (np.stack([vectors[side] for vectors in made]) for side in (0, 1))
    tensors = [pair[0] for pair in pairs[:_BATCH]]
    checks = (
        TrialCheck("runs", State.OK, f"{2 * len(products)} drawn pictures, all vectors finite"),
        _repeated(encoder, tensors),
        _beside_others(encoder, tensors, catalogue[:_BATCH]),
        _different(catalogue),
        _found(catalogue, photographs),
    )
    usable = all(c.state is not State.FAILED for c in checks)
    return Trial(checks, score_of(_strangers(catalogue)) if usable else None)


def _repeated(encoder: Encoder, tensors: list[NDArray[np.generic]]) -> TrialCheck:
    apart = _furthest(picture_vectors(encoder, tensors), picture_vectors(encoder, tensors))
    if apart <= _tolerance(encoder):
        return TrialCheck("repeats", State.OK, "the same pictures give the same vectors")
    return TrialCheck(
        "repeats", State.FAILED,
        f"the same pictures give vectors {apart:.2g} apart; export the model in evaluation mode, without dropout",
    )  # fmt: skip


def _beside_others(encoder: Encoder, tensors: list[NDArray[np.generic]], in_pairs: Vectors) -> TrialCheck:
    alone = np.concatenate([picture_vectors(encoder, [tensor]) for tensor in tensors])
    apart = max(_furthest(alone, picture_vectors(encoder, tensors)), _furthest(alone, in_pairs))
    if apart <= _tolerance(encoder):
        return TrialCheck("batches", State.OK, f"batches of 1, 2 and {len(tensors)} give the same vectors")
    return TrialCheck(
        "batches", State.FAILED,
        f"a vector depends on the pictures encoded beside it, by {apart:.2g}; models that are quantised at run time "
        "(DynamicQuantizeLinear) and those in training mode do: export with static ranges, or a batch of 1",
    )  # fmt: skip


def _different(vectors: Vectors) -> TrialCheck:
    median = float(np.median(_strangers(vectors)))
    said = f"different things are {median:.3g} apart (median cosine distance)"
    if median <= _COLLAPSED:
        return TrialCheck(
            "differs", State.FAILED, f"{said}: all pictures look alike; the weights or the output are wrong"
        )
    if median < _NARROW:
        return TrialCheck("differs", State.WARNING, f"{said}, which is little; check --family, --output and --pooling")
    return TrialCheck("differs", State.OK, said)


def _found(catalogue: Vectors, photographs: Vectors) -> TrialCheck:
    first = (photographs @ catalogue.T).argmax(1) == np.arange(len(catalogue))
    said = f"{int(first.sum())} of {len(first)} drawn products are found by a photograph of them"
    if first.mean() > 3 / len(first):  # more than chance finds
        return TrialCheck("finds", State.OK, said)
    return TrialCheck("finds", State.WARNING, f"{said}, no more than by chance; check --family, --output and --pooling")


def _tolerance(encoder: Encoder) -> float:
    taken = encoder.manifest.input
    return _SAME_HALF if taken.dtype == "float16" else _SAME


def _furthest(first: Vectors, second: Vectors) -> float:
    return float(np.max(1 - np.einsum("nd,nd->n", first.astype(np.float64), second.astype(np.float64))))


def _strangers(vectors: Vectors) -> NDArray[np.float64]:
    """Ascending cosine distances between products of different forms."""
    rows, columns = np.triu_indices(len(vectors), 1)
    apart = rows // MATERIALS != columns // MATERIALS
    rows, columns = rows[apart], columns[apart]
    exact = vectors.astype(np.float64)
    return np.sort(1 - np.einsum("nd,nd->n", exact[rows], exact[columns]))
