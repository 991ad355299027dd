"""What boxes add where pictures show several goods: drawn shop scenes, and a catalogue of single goods.

Searches go both ways. A scene is searched for in the catalogue, as a customer's photograph of a shelf is: as a whole,
or each box by itself (`objects: each`). And a photograph of one good is searched for among scenes that are stored, as a
whole or by their boxes (`split_objects`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.detector.splitting import cropped
from bench.encoders.packs import Encode
from service.detector.scoring import Found
from service.encoder.alterations import Picture
from service.encoder.builtin.generator.grounds import any_ground, white
from service.encoder.builtin.generator.layouts import Layout, any_layout
from service.encoder.builtin.generator.pairs import PICTURE_SIDE
from service.encoder.builtin.generator.scenes import CutOut, Scene, compose_scene, cut_out
from service.encoder.builtin.generator.views import compose, photographed
from service.encoder.retrieval import Vectors, relevance_scores

STOCK, SCENES_OF_EACH, MOST_BOXES, SCENE_SIDE = 240, 30, 16, 448
NUMBERS = (1, 2, 3, 4, 5, 6, 7, 8)
_FIRST = 1 << 49  # apart from the numbers of all other drawn pictures
Relevant = NDArray[np.bool_]


@dataclass(frozen=True)
class Shop:
    """Drawn goods in a shop.

    - catalogue, photographs: of each good, alone on white and on any ground.
    - scenes: by how many goods they show; goods: which these are, in the order of the catalogue.
    """

    catalogue: list[Picture]
    photographs: list[Picture]
    scenes: dict[int, list[Picture]]
    goods: dict[int, list[NDArray[np.int64]]]


def drawn_shop(stock: int = STOCK, scenes: int = SCENES_OF_EACH, numbers: Sequence[int] = NUMBERS) -> Shop:
    """The same pictures each time. All goods of a scene differ, and are seen well enough to count."""
    rng = np.random.default_rng([_FIRST, 0])
    things = [cut_out(rng) for _ in range(stock)]
    plain = [compose(rng, t.layer, white(rng, PICTURE_SIDE), hard=False) for t in things]
    seen = [compose(rng, t.layer, any_ground(rng, PICTURE_SIDE), hard=True) for t in things]
    found: dict[int, list[Picture]] = {}
    goods: dict[int, list[NDArray[np.int64]]] = {}
    for number in numbers:
        made = [_scene_of(np.random.default_rng([_FIRST, number, n]), number, things) for n in range(scenes)]
        found[number], goods[number] = [s.pixels for s, _ in made], [g for _, g in made]
    return Shop(
        [photographed(rng, p, colour_change=0.0) for p in plain],
        [photographed(rng, p, colour_change=0.0) for p in seen], found, goods,
    )  # fmt: skip


def _scene_of(rng: np.random.Generator, number: int, things: Sequence[CutOut]) -> tuple[Scene, NDArray[np.int64]]:
    """A scene of so many goods, and their places in the stock."""
    while True:
        layout = any_layout(rng)
        named = layout.goods[layout.goods[:, 2] > 0, 8].astype(int)
        if len(named) != number or len(set(named.tolist())) != number:
            continue
        chosen = rng.choice(len(things), number, replace=False)
        stock = {name: things[place] for name, place in zip(named.tolist(), chosen.tolist(), strict=True)}
        scene = compose_scene(rng, layout, _ground(rng, layout), stock)
        if len(scene.things) == number:
            places = dict(zip(named.tolist(), chosen.tolist(), strict=True))
            return scene, np.array([places[int(name)] for name in scene.things], np.int64)


def _ground(rng: np.random.Generator, layout: Layout) -> NDArray[np.float32]:
    ground = white(rng, SCENE_SIDE) if layout.white else any_ground(rng, SCENE_SIDE)
    return np.array(ground, np.float32)


def measured(shop: Shop, encode: Encode, boxes: dict[int, list[Found]]) -> dict[str, Any]:
    """Figures in per cent, by how many goods a scene shows.

    - `searching`: R@1 and mAP@10 of scenes against the catalogue, whose right answers are all goods of the scene, and
      the share of the goods that are found: as the first hit of a box, or among as many hits of the whole as there are
      goods.
    - `stored`: R@1 and mAP@10 of photographs of the goods against the scenes.

    A picture is as near as the nearest box is; a scene without a box counts as a whole.
    """
    catalogue, photographs = encode(shop.catalogue), encode(shop.photographs)
    result: dict[str, Any] = {"searching": {}, "stored": {}}
    for number, scenes in shop.scenes.items():
        whole = encode(scenes)
        parts = [_parts(encode, s, f, w) for s, f, w in zip(scenes, boxes[number], whole, strict=True)]
        goods, relevant = shop.goods[number], _relevant(shop.goods[number], len(catalogue))
        split = np.stack([(part @ catalogue.T).max(0) for part in parts])
        both = np.maximum(split, whole @ catalogue.T)
        firsts = [(part @ catalogue.T).argmax(1) for part in parts]
        first_of_whole = np.argsort(-(whole @ catalogue.T), axis=1)[:, :number]
        result["searching"][str(number)] = {
            "boxes": float(np.mean([len(f.boxes) for f in boxes[number]])),
            "whole": relevance_scores(whole @ catalogue.T, relevant) | {"goods": _found(list(first_of_whole), goods)},
            "each": relevance_scores(split, relevant) | {"goods": _found(firsts, goods)},
            "whole and each": relevance_scores(both, relevant),
        }
        asked = np.unique(np.concatenate(goods))
        of_parts = np.stack([(photographs[asked] @ part.T).max(1) for part in parts], axis=1)
        of_whole = photographs[asked] @ whole.T
        wanted = relevant.T[asked]
        result["stored"][str(number)] = {
            "whole": relevance_scores(of_whole, wanted), "split": relevance_scores(of_parts, wanted),
            "whole and split": relevance_scores(np.maximum(of_whole, of_parts), wanted),
        }  # fmt: skip
    return result


def _parts(encode: Encode, picture: Picture, found: Found, whole: Vectors) -> Vectors:
    """The vectors of the boxes; that of the picture where there is none."""
    crops = [np.ascontiguousarray(cropped(picture, box.tolist())) for box in found.boxes[:MOST_BOXES]]
    return encode(crops) if crops else whole[None]


def _relevant(goods: Sequence[NDArray[np.int64]], count: int) -> Relevant:
    relevant = np.zeros((len(goods), count), np.bool_)
    for row, places in enumerate(goods):
        relevant[row, places] = True
    return relevant


def _found(hits: Sequence[NDArray[np.int64]], goods: Sequence[NDArray[np.int64]]) -> float:
    """The share of the goods that are among the hits of their scene, in per cent."""
    found = sum(len(np.intersect1d(h, g)) for h, g in zip(hits, goods, strict=True))
    return 100 * found / sum(map(len, goods))
