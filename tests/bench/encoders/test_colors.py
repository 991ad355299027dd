"""Searches by colour among drawn goods of known colours, against an oracle that knows the colours."""

from __future__ import annotations

import numpy as np
import pytest

from bench.encoders.colors import FIRST_HITS, measured
from service.encoder.builtin.generator.colored import COLORS, draw_colored
from service.encoder.kinds import load_kind
from service.encoder.manifest import read_manifest
from service.encoder.registry import BUILTIN_FOLDER


@pytest.mark.parametrize("pictures", ["catalogue", "photograph"])
def test_most_of_the_first_ten_hits_have_the_colour(pictures: str) -> None:
    goods = list(draw_colored(FIRST_HITS))
    found = measured(load_kind(BUILTIN_FOLDER, read_manifest(BUILTIN_FOLDER), 1), goods, pictures)
    assert found.keys() == COLORS.keys()
    encoder, oracle, chance = (
        np.mean([getattr(f, n) for f in found.values()]) for n in ("encoder", "oracle", "chance")
    )
    assert chance == pytest.approx(1 / len(COLORS))
    assert encoder > 0.65, found  # only as many goods as hits have the colour: precision is recall here
    assert oracle > encoder - 0.05
    assert sum(f.encoder > 0.5 for f in found.values()) >= len(COLORS) - 3, found


def test_goods_are_drawn_in_their_colour_and_equally_each_time() -> None:
    first, again = (list(draw_colored(1)) for _ in range(2))
    assert [g.color for g in first] == list(COLORS)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.catalogue, other.catalogue)
        assert np.array_equal(one.photograph, other.photograph)
    several = list(draw_colored(6, first=1))
    navy, gold = (np.mean([g.mean for g in several if g.color == name], axis=0) for name in ("navy", "gold"))
    assert navy[2] > navy[0]
    assert min(gold[:2]) > gold[2]
