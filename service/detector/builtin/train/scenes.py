"""Scenes that are put together on a GPU from drawn parts, with the box of each good.

The same layouts and rules as service/encoder/builtin/generator/scenes.py, for thousands of scenes in a second.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from service.detector.builtin.network import SIDE
from service.encoder.builtin.generator.layouts import MOST_GOODS, placed
from service.encoder.builtin.generator.scenes import LEAST_SIDE, LEAST_VISIBLE
from service.encoder.builtin.train.chance import Chance
from service.encoder.builtin.train.filters import filter_some

_LEVELS = 3  # of a layer: whole, half, quarter
_FILTERED = 1 / 8  # the share of scenes through a random filter, so that outlines count more than texture


class Scenes(NamedTuple):
    """A batch.

    - views: float32 (n, 3, SIDE, SIDE) of 0..1.
    - boxes: float32 (n, MOST_GOODS, 4), fractions. counted: bool (n, MOST_GOODS), whether there is such a good.
    """

    views: Tensor
    boxes: Tensor
    counted: Tensor


class Pools:
    """Drawn parts on a device. They grow while processes draw."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.chance = device, Chance(device)
        self._parts: dict[str, list[Tensor]] = {}
        self._joined: dict[str, Tensor] = {}

    def add(self, chunk: dict) -> None:  # type: ignore[type-arg]
        """Takes a chunk of `draw_chunk`."""
        for name, array in chunk.items():
            self._parts.setdefault(name, []).append(torch.from_numpy(array).to(self.device))

    def join(self) -> None:
        """Lets `parts` have what was added."""
        for name, tensors in self._parts.items():
            before = [self._joined[name]] if name in self._joined else []
            self._joined[name] = torch.cat(before + tensors)
        self._parts.clear()

    @property
    def parts(self) -> dict[str, Tensor]:
        """What was drawn, by the names of `draw_chunk`."""
        return self._joined


@torch.no_grad()
def compose(pools: Pools, count: int) -> Scenes:
    """Random scenes."""
    parts, chance = pools.parts, pools.chance
    chosen = chance.places(len(parts["goods"]), count)
    goods, cards = _mirrored(chance, parts["goods"][chosen], parts["cards"][chosen])
    things = _things(chance, goods, len(parts["layers"]))
    covers, expected = _layers(parts, goods, things)
    picture = _grounds(pools, parts["white"][chosen], count)
    picture = _with_cards(picture, cards)
    for number in range(MOST_GOODS):
        rows = torch.nonzero(goods[:, number, 2] > 0)[:, 0]
        if len(rows):
            picture[rows] = _with_good(chance, picture[rows], covers[rows, number], goods[rows, number, 9])
    boxes, counted = _boxes(covers[:, :, 3], expected)
    return Scenes(_photographed(chance, picture.clamp(0, 1)), boxes, counted & (goods[..., 2] > 0))


def _mirrored(chance: Chance, goods: Tensor, cards: Tensor) -> tuple[Tensor, Tensor]:
    """Half of the layouts the other way round."""
    flip = chance.often(0.5, len(goods))[:, None]
    goods, cards = goods.clone(), cards.clone()
    goods[..., 0] = torch.where(flip, 1 - goods[..., 0], goods[..., 0])
    for column in (3, 4):  # the first row of the matrix
        goods[..., column] = torch.where(flip, -goods[..., column], goods[..., column])
    left, right = cards[..., 0].clone(), cards[..., 2].clone()
    there = right > left
    cards[..., 0] = torch.where(flip & there, 1 - right, left)
    cards[..., 2] = torch.where(flip & there, 1 - left, right)
    return goods, cards


def _things(chance: Chance, goods: Tensor, count: int) -> Tensor:
    """Which thing each good is, (n, MOST_GOODS): equal numbers of a layout become equal things."""
    return chance.places(count, len(goods), MOST_GOODS).gather(1, goods[..., 8].long() % MOST_GOODS)


def _layers(parts: dict[str, Tensor], goods: Tensor, things: Tensor) -> tuple[Tensor, Tensor]:
    """The goods where they are, (n, MOST_GOODS, 4, SIDE, SIDE), and the pixels that each would have without others."""
    affine = placed(goods, parts["bounds"][things])
    there = goods[..., 2] > 0
    determinant = affine.a * affine.d - affine.b * affine.c
    safe = torch.where(there, determinant, torch.ones_like(determinant))
    a, b, c, d = affine.d / safe, -affine.b / safe, -affine.c / safe, affine.a / safe
    x, y = 0.5 - affine.dx, 0.5 - affine.dy
    theta = torch.stack([a / 2, b / 2, a * x + b * y, c / 2, d / 2, c * x + d * y], -1).view(*a.shape, 2, 3)
    level = (80 / (1.5 * SIDE * safe.abs().sqrt())).log2().ceil().clamp(0, _LEVELS - 1)
    covers = torch.zeros(*things.shape, 4, SIDE, SIDE, device=goods.device)
    for number in range(_LEVELS):
        rows = torch.nonzero(there & (level == number))
        if not len(rows):
            continue
        scenes, slots = rows[:, 0], rows[:, 1]
        layers = parts["layers"][things[scenes, slots]].float() / 255
        layers = F.avg_pool2d(layers, 1 << number) if number else layers
        grid = F.affine_grid(theta[scenes, slots], [len(rows), 4, SIDE, SIDE], align_corners=False)
        covers[scenes, slots] = F.grid_sample(layers, grid, align_corners=False)
    return covers, parts["fills"][things] * 4 * determinant.abs() * SIDE**2


def _grounds(pools: Pools, white: Tensor, count: int) -> Tensor:
    chance, grounds = pools.chance, pools.parts["grounds"]
    chosen = grounds[chance.places(len(grounds), count)].float() / 255
    chosen = torch.where(chance.often(0.5, count).view(-1, 1, 1, 1), chosen.flip(3), chosen)
    chosen = (chosen * chance.spread(0.15, count, 3, 1, 1)).clamp(0, 1)
    paper = 1 - chance.normal(0.03, count, 1, 1, 1).abs()
    return torch.where(white.view(-1, 1, 1, 1), paper.expand_as(chosen), chosen)


def _with_cards(picture: Tensor, cards: Tensor) -> Tensor:
    places = (torch.arange(SIDE, device=picture.device) + 0.5) / SIDE
    for number in range(cards.shape[1]):
        left, top, right, bottom = (cards[:, number, n, None] for n in range(4))
        across, down = (places >= left) & (places < right), (places >= top) & (places < bottom)
        inside = (down[:, :, None] & across[:, None, :])[:, None]
        picture = torch.where(inside, cards[:, number, 4:, None, None], picture)
    return picture


def _with_good(chance: Chance, picture: Tensor, layer: Tensor, shadow: Tensor) -> Tensor:
    """Draws one good of each scene, in another light. layer: (n, 4, SIDE, SIDE), colours times opacity, and opacity."""
    opacity = layer[:, 3:]
    picture = picture * (1 - shadow.view(-1, 1, 1, 1) * _shadow(opacity))
    gain = chance.spread(0.15, len(layer), 1, 1, 1) * chance.spread(0.06, len(layer), 3, 1, 1)
    return picture * (1 - opacity) + torch.minimum(layer[:, :3] * gain, opacity)


def _shadow(opacity: Tensor) -> Tensor:
    """The opacity, moved and blurred."""
    down, across = (int(v) for v in torch.randn(2) * 0.02 * SIDE)
    width = 2 * int(torch.randint(1, 6, ())) + 1
    moved = torch.roll(opacity, (down, across), (2, 3))
    return F.avg_pool2d(F.avg_pool2d(moved, width, 1, width // 2), width, 1, width // 2)


def _boxes(opacity: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes of what is visible, (n, goods, 4), and whether each counts, for opacities (n, goods, SIDE, SIDE)."""
    through = torch.ones_like(opacity[:, 0])
    masks = torch.zeros_like(opacity, dtype=torch.bool)
    for number in reversed(range(opacity.shape[1])):
        masks[:, number] = opacity[:, number] * through > 0.5
        through = through * (1 - opacity[:, number])
    edges = []
    for along in (2, 3):  # any over rows gives columns
        there = masks.any(along).float()
        first, last = there.argmax(-1), SIDE - there.flip(-1).argmax(-1)
        edges.append((first / SIDE, last / SIDE))
    (left, right), (top, bottom) = edges
    boxes = torch.stack([left, top, right, bottom], -1)
    pixels = masks.sum((2, 3))
    large = torch.maximum(right - left, bottom - top) >= LEAST_SIDE
    return boxes, (pixels >= LEAST_VISIBLE * expected) & (pixels > 0) & large


def _photographed(chance: Chance, picture: Tensor) -> Tensor:
    """Exposure, white balance, contrast, blur and noise."""
    count = len(picture)
    gain = chance.spread(0.16, count, 1, 1, 1) * chance.spread(0.05, count, 3, 1, 1)
    picture = (picture * gain + chance.normal(0.03, count, 1, 1, 1)).clamp(1e-4, 1)
    picture = picture ** torch.exp(chance.sometimes(0.4, chance.normal(0.25, count, 1, 1, 1)))
    grey = picture.mean(1, keepdim=True)
    picture = grey + (picture - grey) * torch.exp(chance.sometimes(0.3, chance.normal(0.4, count, 1, 1, 1)))
    for width in (3, 5):
        share = chance.sometimes(0.3, chance.uniform(0, 1, count, 1, 1, 1))
        picture = picture + share * (F.avg_pool2d(F.pad(picture, [width // 2] * 4, "replicate"), width, 1) - picture)
    picture, _ = filter_some(picture.clamp(0, 1), _FILTERED)
    noise = chance.sometimes(0.5, chance.uniform(0, 0.05, count, 1, 1, 1))
    return (picture + noise * torch.randn_like(picture)).clamp(0, 1)
