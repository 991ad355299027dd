"""Membership inference: whether a picture, or an altered copy of it, is in a collection, by its nearest distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.inversion.measures import roc_auc, tpr_at
from bench.inversion.representations import COMPARABLE, Floats, represented
from index.vectors.ann.signatures import SignatureEncoder
from service.encoder.alterations import ALTERATIONS, Picture

UNALTERED, LOOKALIKES = "unaltered", "against other pictures of the same things"
_SEED = 11


@dataclass(frozen=True)
class Suspects:
    """Vectors of pictures that the attacker holds, by alteration, each of shape (m, d).

    - `members`: of pictures in the collection. `others`: of pictures of other things.
    - `lookalikes`: shape (m, d), unaltered, of other pictures of the members' things.
    """

    members: dict[str, Floats]
    others: dict[str, Floats]
    lookalikes: Floats


def altered(pictures: list[Picture]) -> dict[str, list[Picture]]:
    """The pictures as they are, and with each alteration."""
    rng = np.random.default_rng(_SEED)
    return {UNALTERED: pictures} | {name: [edit(p, rng) for p in pictures] for name, edit in ALTERATIONS.items()}


def membership(
    suspects: Suspects, collection: Floats, signatures: SignatureEncoder
) -> dict[str, dict[str, dict[str, float]]]:
    """AUC, and the share of members found at 1 % false alarms, by representation and by alteration.

    The attacker does not know what was altered: the threshold is one for all alterations.
    """
    return {kind: _attacked(suspects, collection, kind, signatures) for kind in COMPARABLE}


def _attacked(
    suspects: Suspects, collection: Floats, kind: str, signatures: SignatureEncoder
) -> dict[str, dict[str, float]]:
    stored = represented(collection, kind, signatures)

    def nearest(vectors: Floats) -> NDArray[np.float32]:
        return (represented(vectors, kind, signatures) @ stored.T).max(axis=1)

    others = np.concatenate([nearest(vectors) for vectors in suspects.others.values()])
    members = {name: nearest(vectors) for name, vectors in suspects.members.items()}
    found = {name: judged(scores, others) for name, scores in members.items()}
    return found | {LOOKALIKES: judged(members[UNALTERED], nearest(suspects.lookalikes))}


def judged(members: NDArray[np.floating], others: NDArray[np.floating]) -> dict[str, float]:
    """Both figures of scores that are higher for members."""
    return {"auc": round(roc_auc(members, others), 3), "tpr": round(100 * tpr_at(members, others), 1)}
