"""`make bench-colors`: how well a search by colour finds drawn goods of known colours. Writes JSON.

Every colour is searched for among goods of all colours, by the vectors of the built-in encoder, as `Search` does it.
The oracle knows the mean colour of each product without its ground, and orders by the distance in CIE Lab.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.environment import write_result
from service.encoder.builtin.generator.colored import COLORS, ColoredGood, draw_colored
from service.encoder.contract import Encoder, picture_vectors
from service.encoder.kinds import load_kind
from service.encoder.manifest import read_manifest
from service.encoder.preprocess import to_tensor
from service.encoder.registry import BUILTIN_FOLDER
from service.engine.terms.colors import Color, colored_disc, only_color

PER_COLOR, FIRST_HITS = 20, 10
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """Share of the first ten hits that have the colour, 0 to 1: of the encoder, of the oracle, and by chance."""

    encoder: float
    oracle: float
    chance: float


def measured(encoder: Encoder, goods: Sequence[ColoredGood], pictures: str) -> dict[str, Found]:
    """What each colour finds among the `catalogue` pictures or the `photograph`s of goods."""
    spec = encoder.manifest.input
    stored = np.concatenate([picture_vectors(encoder, [to_tensor(getattr(g, pictures), spec)]) for g in goods])
    names = np.array([g.color for g in goods])
    means: Array = lab(np.stack([g.mean for g in goods]).astype(np.float32))
    found = {}
    for name, rgb in COLORS.items():
        right = names == name
        nearest = np.argsort(-(stored @ color_query(encoder, Color(*rgb))), kind="stable")
        wanted: Array = lab((np.array([rgb]) / 255).astype(np.float32))
        known = np.argsort(np.linalg.norm(np.subtract(means, wanted), axis=1), kind="stable")
        by_encoder, by_oracle = (float(right[order[:FIRST_HITS]].mean()) for order in (nearest, known))
        found[name] = Found(by_encoder, by_oracle, float(right.mean()))
    return found


def color_query(encoder: Encoder, color: Color) -> Array:
    """The vector of a colour, as a search makes it."""
    manifest = encoder.manifest
    (drawn,) = picture_vectors(encoder, [colored_disc(color, manifest.input)])
    return only_color(drawn, manifest.output.blocks)


def lab(rgb: Array) -> Array:
    """CIE Lab of colours of 0 to 1, shape (n, 3)."""
    found: Array = cv2.cvtColor(rgb[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    return found


def main() -> None:
    """Measures, prints a table and writes bench/results/colors.json."""
    encoder = load_kind(BUILTIN_FOLDER, read_manifest(BUILTIN_FOLDER), 1)
    goods = list(draw_colored(PER_COLOR))
    result: dict[str, Any] = {"goods": len(goods)}
    for pictures in ("catalogue", "photograph"):
        found = measured(encoder, goods, pictures)
        result[pictures] = {name: asdict(f) for name, f in found.items()}
        print(f"{pictures:12} " + "  ".join(f"{n} {f.encoder:.2f} ({f.oracle:.2f})" for n, f in found.items()))
        print(f"{'mean':12} {np.mean([f.encoder for f in found.values()]):.3f}, "
              f"oracle {np.mean([f.oracle for f in found.values()]):.3f}")  # fmt: skip
    print(write_result("colors", result))


if __name__ == "__main__":
    main()
