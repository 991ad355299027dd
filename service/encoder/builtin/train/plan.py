"""Draws the parameters of views: which thing, in which material, on which ground, in which light, and how edited.

Views come in groups of three. The first two show one thing. The third shows a relative of it, in the material of the
group before. The same thing, the same family and the same material thus come from the same pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from service.encoder.builtin.train.chance import Chance
from service.encoder.builtin.train.layout import SOURCES, VIEW
from service.encoder.builtin.train.pools import Pools

Values = dict[str, Tensor]


@dataclass(frozen=True)
class Shares:
    """How often something happens.

    Of the groups: `scenes` show a ground alone, `copies` show one picture twice, and `colour_changes` show the thing in
    another colour in one view. Of the views: `catalogue` ones are upright on white, `heaps` repeat the thing, in two
    layers in a share of `layers`. Of the materials: `prints` have one.
    """

    scenes: float = 0.12
    copies: float = 0.0
    colour_changes: float = 0.3
    catalogue: float = 0.38
    heaps: float = 0.14
    layers: float = 0.0
    prints: float = 0.4


@dataclass(frozen=True)
class Plan:
    """Views by number: all first views, all second ones, all third ones.

    - `views`: float32 (3 g, FLOATS); `sources`: int64 (3 g, len(SOURCES)).
    - `kinds`: (g,), the kind of goods, -1 for none, -2 for a scene; `scenes`: bool (g,).
    - `recoloured`: bool (3 g,), views in another colour.
    """

    views: Tensor
    sources: Tensor
    kinds: Tensor
    scenes: Tensor
    recoloured: Tensor

    def batches(self, count: int) -> list[Plan]:
        """The plan in so many equal parts, each a plan of groups."""
        return [self._part(number, count) for number in range(count)]

    def _part(self, number: int, count: int) -> Plan:
        def of_views(t: Tensor) -> Tensor:
            return t.view(3, count, -1, *t.shape[1:])[:, number].flatten(0, 1)

        def of_groups(t: Tensor) -> Tensor:
            return t.view(count, -1)[number]

        return Plan(
            of_views(self.views), of_views(self.sources), of_groups(self.kinds), of_groups(self.scenes),
            of_views(self.recoloured),
        )  # fmt: skip


def draw_plan(pools: Pools, groups: int, shares: Shares) -> Plan:
    """Draws the parameters of `groups` groups."""
    chance = Chance(pools.device)
    couple = chance.places(pools.filled["shapes"] // 2, groups)
    kind_of_group = torch.rand(groups, device=pools.device)
    scenes = kind_of_group < shares.scenes
    copies = (kind_of_group >= shares.scenes) & (kind_of_group < shares.scenes + shares.copies)
    together = scenes | copies  # both views show the same picture
    catalogue = chance.often(shares.catalogue, 3 * groups)
    catalogue = _shared(catalogue, copies)
    recoloured = _recoloured(chance, groups, shares) & ~copies.repeat(3)
    values, sources = _materials(chance, pools, groups, shares)
    for draw in (_ground, _light):
        more, places = draw(chance, pools, catalogue, scenes)
        values |= {name: _shared(value, together) for name, value in more.items()}
        sources |= {name: _shared(value, together) for name, value in places.items()}
    pose, places = _pose(chance, pools, catalogue, shares)
    values |= {name: _shared(value, copies) for name, value in pose.items()}
    sources |= {name: _shared(value, copies) for name, value in places.items()}
    values |= _photograph(chance, recoloured)
    values |= _edit(chance, copies)
    covers, places = _covers(chance, pools, 3 * groups)
    values, sources = values | covers, sources | places
    relative = torch.where(chance.often(0.75, groups), 1, 0)
    sources["shape"] = torch.cat([2 * couple, 2 * couple, 2 * couple + relative])
    kinds = torch.where(scenes, -2, pools.kinds[couple])
    return Plan(
        torch.cat([values[name].reshape(3 * groups, size).float() for name, size in VIEW.items()], 1),
        torch.stack([sources[name] for name in SOURCES], 1), kinds, scenes, recoloured,
    )  # fmt: skip


def _shared(values: Tensor, groups: Tensor) -> Tensor:
    """`values` of 3 g views, where in the given groups the second view has those of the first."""
    count = len(groups)
    chosen = groups.view(-1, *[1] * (values.dim() - 1))
    second = torch.where(chosen, values[:count], values[count : 2 * count])
    return torch.cat([values[:count], second, values[2 * count :]])


def _recoloured(chance: Chance, groups: int, shares: Shares) -> Tensor:
    """One of the first two views in some groups, never the third."""
    some, first = chance.often(shares.colour_changes, groups), chance.often(0.5, groups)
    return torch.cat([some & first, some & ~first, torch.zeros_like(some)])


def _materials(chance: Chance, pools: Pools, groups: int, shares: Shares) -> tuple[Values, Values]:
    g = groups
    metal = torch.stack([torch.ones(g, device=chance.device), chance.uniform(0.75, 1, g), chance.uniform(0.4, 1, g)], 1)
    creases = torch.where(chance.often(0.4, g), -1.0, 1.0)
    values = {
        "main_palette": chance.palettes(g), "second_palette": chance.palettes(g),
        "second_is_shade": chance.often(0.5, g), "shade": chance.uniform(0.55, 1.35, g),
        "detail": chance.colours(g), "metal": chance.uniform(0.35, 0.85, g)[:, None] * metal,
        "dark": chance.uniform(0.02, 0.25, g)[:, None].expand(g, 3),
        "main_depth": torch.where(chance.often(0.55, g), 1.0, chance.uniform(0, 0.15, g)),
        "second_depth": torch.where(chance.often(0.35, g), 1.0, chance.uniform(0, 0.12, g)),
        "sharpness": chance.sometimes(0.35, chance.uniform(3, 12, g), 1.0),
        "main_texture": _texture(chance, g), "second_texture": _texture(chance, g),
        "print": chance.sometimes(shares.prints, torch.where(chance.often(0.8, g), 1.0, 0.6)),
        "print_place": chance.uniform(-0.35, 0.35, g, 2), "print_size": chance.uniform(0.15, 0.5, g),
        "print_colour": chance.colours(g), "rim": chance.uniform(0.11, 0.55, g),
        "folds": chance.sometimes(0.6, chance.uniform(0.1, 0.7, g)) * creases,
        "fold_scale": torch.exp(torch.stack([chance.uniform(-1, 0.3, g), chance.uniform(-1.4, 0.3, g)], 1)),
    }  # fmt: skip
    sources = {
        "main_pattern": chance.places(pools.filled["patterns"], g),
        "second_pattern": chance.places(pools.filled["patterns"], g),
        "print": chance.places(pools.filled["prints"], g), "folds": chance.places(len(pools.noises), g),
    }  # fmt: skip
    return tuple({n: torch.cat([v, v, v.roll(1, 0)]) for n, v in some.items()} for some in (values, sources))  # type: ignore[return-value]


def _texture(chance: Chance, count: int) -> Tensor:
    """(count, 6): an affine map of the layer to a pattern."""
    angle, scale = chance.uniform(-math.pi, math.pi, count), torch.exp(chance.uniform(-0.8, 0.5, count))
    stretch, c, s = chance.spread(0.15, count), angle.cos(), angle.sin()
    x, y = chance.uniform(-1, 1, count), chance.uniform(-1, 1, count)
    wide, high = scale * stretch, scale / stretch
    return torch.stack([c * wide, -s * wide, x, s * high, c * high, y], 1)


def _pose(chance: Chance, pools: Pools, catalogue: Tensor, shares: Shares) -> tuple[Values, Values]:
    v = len(catalogue)
    calm = torch.where(catalogue, 0.35, 1.0)
    quarter = chance.sometimes(0.06, chance.places(3, v) + 1.0) * (math.pi / 2) * ~catalogue
    angle = chance.normal(0.22, v) * calm + quarter
    heap = ~catalogue & chance.often(shares.heaps, v)
    size = torch.where(catalogue, chance.uniform(0.72, 1, v), chance.uniform(0.5, 1.2, v))
    size = torch.where(heap, chance.uniform(0.7, 1.15, v), size)
    stretch, shear = chance.spread(0.12, v), chance.normal(0.08, v) * calm
    c, s = angle.cos(), angle.sin()
    bend = chance.sometimes(0.6, chance.uniform(0, 0.34, v))
    values = {
        "pose": torch.stack([c / (size * stretch), s / (size * stretch) + shear, -s * stretch / size,
                             c * stretch / size], 1),
        "place": chance.normal(0.13, v, 2) * calm[:, None], "tilt": chance.normal(0.10, v, 2) * calm[:, None],
        "heap": chance.uniform(1.1, 3.2, v) * heap, "heap_turn": chance.uniform(0, 1.2, v) * heap,
        "heap_shift": torch.where(chance.often(0.5, v), 0.5, 0.0),
        "heap_behind": chance.sometimes(shares.layers, chance.uniform(0.5, 0.95, v)),
        "wobble": bend, "wobble_scale": chance.uniform(0.4, 1, v), "wobble_place": chance.uniform(-1, 1, v, 2),
    }  # fmt: skip
    return values, {"wobble": chance.places(512, v)}


def _ground(chance: Chance, pools: Pools, catalogue: Tensor, scenes: Tensor) -> tuple[Values, Values]:
    v = len(catalogue)
    kind, whole = torch.rand(v, device=chance.device), scenes.repeat(3)
    white = (catalogue | (kind < 0.2)) & ~whole
    plain = white | ((kind < 0.34) & ~whole)
    scale, angle = torch.exp(chance.uniform(-1.2, 0.1, v)), chance.normal(0.3, v)
    room = (1 - scale.clamp(max=1))[:, None]
    near_white = (1 - chance.normal(0.03, v).abs())[:, None].expand(v, 3)
    values = {
        "plain": plain, "ground_axis": torch.stack([scale * angle.cos(), scale * angle.sin()], 1),
        "ground_place": chance.uniform(-1, 1, v, 2) * room,
        "ground_mix": chance.sometimes(0.25, chance.uniform(0.3, 0.7, v), -9.0),
        "ground_shade": chance.sometimes(0.5, chance.uniform(0, 0.5, v)) * ~catalogue,
        "ground_ramp": chance.normal(0.06, v),
        "ground_colour": torch.where(white[:, None], near_white, chance.colours(v)),
        "ground_tint": chance.sometimes(0.3, chance.spread(0.3, v, 3), 1.0),
    }  # fmt: skip
    sources = {
        "ground": chance.places(pools.filled["grounds"], v), "other_ground": chance.places(pools.filled["grounds"], v),
        "shade": chance.places(len(pools.noises), v), "mask": chance.places(pools.filled["patterns"], v),
    }  # fmt: skip
    return values, sources


def _light(chance: Chance, pools: Pools, catalogue: Tensor, scenes: Tensor) -> tuple[Values, Values]:
    v = len(catalogue)
    strength, angle = chance.sometimes(0.6, chance.uniform(1, 6, v)), chance.uniform(0, 2 * math.pi, v)
    values = {
        "shadow": chance.sometimes(0.4, chance.uniform(0.15, 0.7, v)),
        "light": torch.stack([strength * angle.cos(), strength * angle.sin()], 1),
        "ramp": chance.normal(0.1, v, 2), "shadow_place": chance.normal(0.07, v, 2), "object": ~scenes.repeat(3),
    }  # fmt: skip
    return values, {}


def _photograph(chance: Chance, recoloured: Tensor) -> Values:
    """Exposure, white balance, saturation and hue as one matrix; contrast, gamma and noise."""
    v, device = len(recoloured), chance.device
    tint = torch.exp(torch.randn(v, 3, device=device) * torch.where(recoloured, 0.135, 0.045)[:, None])
    gain = chance.spread(0.17, v)[:, None] * tint
    saturation = torch.where(recoloured, chance.spread(0.5, v), chance.spread(0.08, v))
    saturation = torch.where(recoloured & chance.often(0.25, v), 0.0, saturation)
    hue = torch.where(recoloured & chance.often(0.5, v), chance.normal(0.7, v), chance.normal(0.02, v))
    return {
        "matrix": _colour_matrix(gain, saturation, hue), "offset": chance.normal(0.035, v),
        "contrast": chance.spread(0.12, v), "gamma": chance.sometimes(0.4, chance.spread(0.25, v), 1.0),
        "noise": chance.sometimes(0.5, chance.uniform(0, 0.055, v)),
        "inverted": (recoloured & chance.often(0.05, v)).float(),
        "blur": torch.stack([chance.sometimes(0.45, chance.uniform(0, 1, v)),
                             chance.sometimes(0.12, chance.uniform(0, 1, v))], 1),
    }  # fmt: skip


def _colour_matrix(gain: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """(v, 9): a turn of the hue around grey, then saturation, then gains of (v, 3) channels."""
    device = gain.device
    luminance = torch.tensor([0.299, 0.587, 0.114], device=device).expand(3, 3)
    axis = torch.tensor([[0, -1.0, 1], [1, 0, -1.0], [-1.0, 1, 0]], device=device) / math.sqrt(3)
    one, third = torch.eye(3, device=device), torch.full((3, 3), 1 / 3, device=device)
    c, s, keep = (t[:, None, None] for t in (hue.cos(), hue.sin(), saturation))
    turned = c * one + s * axis + (1 - c) * third
    return torch.bmm(torch.diag_embed(gain), torch.bmm(keep * one + (1 - keep) * luminance, turned)).flatten(1)


def _edit(chance: Chance, copies: Tensor) -> Values:
    """Crop, turn, frame and mirror. In half of the copies the first view is the whole picture; the second is a part."""
    groups = len(copies)
    v = 3 * groups
    whole = copies & chance.often(0.5, groups)
    nothing = torch.zeros_like(copies)
    untouched, cut = torch.cat([whole, nothing, nothing]), torch.cat([nothing, copies, nothing])
    crop = (chance.often(0.45, v) | cut) & ~untouched
    wide = torch.where(crop, chance.uniform(0.58, 1, v), 1.0)
    high = torch.where(crop, (wide * chance.spread(0.12, v)).clamp(0.55, 1), 1.0)
    angle = chance.sometimes(0.3, chance.normal(0.12, v)) * ~untouched
    frame = (chance.often(0.18, v) & ~untouched).float()
    across, along = frame * chance.uniform(0, 0.6, v) + 1, frame * chance.uniform(0, 0.6, v) + 1
    along = torch.where(chance.often(0.6, v), across, along)
    flip = torch.where(chance.often(0.3, v) & ~untouched, -1.0, 1.0)
    c, s = angle.cos(), angle.sin()
    light = 1 - chance.normal(0.02, v, 3).abs()
    return {
        "turn": torch.stack([flip * c, -s, flip * s, c], 1), "crop_size": torch.stack([wide, high], 1),
        "crop_place": torch.stack([1 - wide, 1 - high], 1) * chance.uniform(-1, 1, v, 2),
        "frame_size": torch.stack([across, along], 1), "frame": frame,
        "frame_colour": torch.where(chance.often(0.7, v)[:, None], light, chance.colours(v)),
    }  # fmt: skip


def _covers(chance: Chance, pools: Pools, v: int) -> tuple[Values, Values]:
    """What lies on top of a picture: a plate or a shape, and words."""
    grey = chance.often(0.7, v)[:, None].float().expand(v, 3)
    values = {
        "cover": chance.often(0.38, v), "cover_is_box": chance.often(0.45, v),
        "cover_place": chance.uniform(-0.95, 0.95, v, 2), "cover_size": chance.uniform(0.12, 0.5, v, 2),
        "cover_colour": chance.colours(v), "words": chance.often(0.25, v),
        "words_place": chance.uniform(-0.7, 0.7, v, 2),
        "words_size": torch.stack([chance.uniform(0.25, 0.8, v), chance.uniform(0.12, 0.5, v)], 1),
        "words_colour": torch.where(chance.often(0.5, v)[:, None], chance.colours(v), grey),
    }  # fmt: skip
    return values, {name: chance.places(pools.filled["prints"], v) for name in ("cover", "words")}
