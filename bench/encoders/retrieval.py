"""Edited copies of pictures, as docs/encoder.md describes them. The metrics are in `service.encoder.retrieval`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.encoder.alterations import ALTERATIONS, Picture

EDITED_PICTURES, _SEED = 250, 7


def edited_pictures(
    pictures: list[Picture], count: int = EDITED_PICTURES
) -> tuple[NDArray[np.int64], dict[str, list[Picture]]]:
    """So many pictures, drawn once, and their copies by edit."""
    rng = np.random.default_rng(_SEED)
    chosen = rng.permutation(len(pictures))[:count]
    return chosen, {name: [edit(pictures[i], rng) for i in chosen] for name, edit in ALTERATIONS.items()}
