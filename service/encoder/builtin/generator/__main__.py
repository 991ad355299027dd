"""Draws a sample sheet of the training pictures: `make encoder-samples`.

python -m service.encoder.builtin.generator FILE.png    pairs of each relation, and every kind
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.generator.objects import KINDS, Thing, draw
from service.encoder.builtin.generator.pairs import PICTURE_SIDE, RELATIONS, draw_pair

_COLUMNS, _ROWS = 14, 2
Pixels = NDArray[np.uint8]


def sheet() -> Pixels:
    """Rows of pairs, then one picture of each kind on white: uint8 (height, width, 3) RGB."""
    rows = []
    for relation in RELATIONS:
        for row in range(_ROWS):
            pairs = [draw_pair(row * _COLUMNS + n, relation) for n in range(_COLUMNS)]
            rows.append(np.hstack([np.vstack([p.first, p.second]) for p in pairs]))
    kinds = [_on_white(Thing(kind, kind, kind)) for kind in range(len(KINDS))]
    kinds += [np.full_like(kinds[0], 255)] * (-len(kinds) % _COLUMNS)
    rows += [np.hstack(kinds[n : n + _COLUMNS]) for n in range(0, len(kinds), _COLUMNS)]
    return np.vstack(rows)


def _on_white(thing: Thing) -> Pixels:
    layer = cv2.resize(draw(thing), (PICTURE_SIDE, PICTURE_SIDE), interpolation=cv2.INTER_AREA)
    return ((layer[..., :3] * layer[..., 3:] + 1 - layer[..., 3:]) * 255).astype(np.uint8)


def main(arguments: list[str]) -> int:
    """Writes the sheet. Returns the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    target = Path(arguments[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), sheet()[:, :, ::-1])
    print(
        f"{target}: above, pairs of one object, family and scene, of copies and of a shop; "
        f"below, one of each of the {len(KINDS)} kinds"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
