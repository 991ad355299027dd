"""The renderer in plain numpy, a whole view at a time: slow, and written from the description of the kernel.

It shares no code with the kernel. Blur and noise are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.encoder.builtin.train.layout import SOURCES, VIEW, offset
from service.encoder.builtin.train.parts import SIDE
from service.encoder.builtin.train.plan import Plan
from service.encoder.builtin.train.pools import Pools

Array = np.ndarray
_RIM, _HEIGHT = 5, 6


@dataclass(frozen=True)
class View:
    """The parameters of one view by name, its sources, and the pools as floats of 0 to 1."""

    values: dict[str, Array]
    sources: dict[str, int]
    pools: dict[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.values[name]

    def one(self, name: str) -> float:
        """A parameter that is one number."""
        return float(self.values[name][0])

    def part(self, pool: str, source: str) -> Array:
        """The drawn part that a source names."""
        return self.pools[pool][self.sources[source]].astype(np.float64) / 255


def painted(pools: Pools, plan: Plan) -> Array:
    """All views of a plan: float64 (views, SIDE, SIDE, 3)."""
    rings = {name: pools.ring(name).numpy() for name in ("shapes", "patterns", "grounds", "prints")}
    rings["noises"] = pools.noises.numpy()
    views = []
    for row, places in zip(plan.views.double().numpy(), plan.sources.numpy(), strict=True):
        values = {name: row[offset(name) : offset(name) + size] for name, size in VIEW.items()}
        views.append(_view(View(values, dict(zip(SOURCES, places.tolist(), strict=True)), rings)))
    return np.stack(views)


def _view(v: View) -> Array:
    ticks = (np.arange(SIDE) + 0.5) * 2 / SIDE - 1
    x, y = np.meshgrid(ticks, ticks)
    ex, ey = x * v["frame_size"][0], y * v["frame_size"][1]
    turn = v["turn"]
    qx = (turn[0] * ex + turn[1] * ey) * v["crop_size"][0] + v["crop_place"][0]
    qy = (turn[2] * ex + turn[3] * ey) * v["crop_size"][1] + v["crop_place"][1]
    colour = _ground(v, qx, qy)
    ox, oy = _layer(v, qx, qy, 0)
    if v.one("shadow") > 0 and v.one("object") > 0:
        sx, sy = ox + v["shadow_place"][0], oy + v["shadow_place"][1]
        fallen = _sample(v.part("shapes", "shape")[..., _HEIGHT], sx, sy) * _within(sx, sy)
        colour = colour * (1 - v.one("shadow") * fallen)[..., None]
    if v.one("heap") > 0 and v.one("heap_behind") > 0:
        behind, coverage = _object(v, *_layer(v, qx, qy, 1), qx, qy)
        colour = np.clip(colour * (1 - coverage)[..., None] + behind * v.one("heap_behind"), 0, 1)
    front, coverage = _object(v, ox, oy, qx, qy)
    colour = np.clip(colour * (1 - coverage)[..., None] + front, 0, 1)
    seen = colour @ v["matrix"].reshape(3, 3).T + v.one("offset")
    seen = np.clip((seen - 0.5) * v.one("contrast") + 0.5, 1e-4, 1) ** v.one("gamma")
    seen = seen + v.one("inverted") * (1 - 2 * seen)
    outside = ~((np.abs(ex) <= 1) & (np.abs(ey) <= 1))
    seen = _mixed(seen, v["frame_colour"], outside * v.one("frame"))
    plate = np.ones((SIDE, SIDE)) if v.one("cover_is_box") > 0 else v.part("prints", "cover")
    seen = _mixed(seen, v["cover_colour"], _stamp(v, "cover", plate, x, y))
    return _mixed(seen, v["words_colour"], _stamp(v, "words", v.part("prints", "words"), x, y))


def _layer(v: View, qx: Array, qy: Array, behind: int) -> tuple[Array, Array]:
    w = 1 + v["tilt"][0] * qx + v["tilt"][1] * qy
    x, y = (qx - v["place"][0]) / w, (qy - v["place"][1]) / w
    if v.one("heap") > 0:
        x, y = x * v.one("heap") + behind, y * v.one("heap") + behind
        row = np.floor(y / 2 + 0.5)
        x = x + v.one("heap_shift") * 2 * (row % 2)
        column = np.floor(x / 2 + 0.5)
        x, y = x - 2 * column, y - 2 * row
        angle = v.one("heap_turn") * np.sin(12.9898 * row + 78.233 * column + 3 * v["place"][0] + 5 * behind)
        x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    pose = v["pose"]
    x, y = pose[0] * x + pose[1] * y, pose[2] * x + pose[3] * y
    if v.one("wobble") > 0:
        noise, (p, r) = v.part("noises", "wobble"), v["wobble_place"]
        a, b = x * v.one("wobble_scale"), y * v.one("wobble_scale")
        x = x + v.one("wobble") * (_sample(noise, _folded(a + p), _folded(b + r)) - 0.5)
        y = y + v.one("wobble") * (_sample(noise, _folded(b + r + 0.7), _folded(a - p)) - 0.5)
    return x, y


def _object(v: View, ox: Array, oy: Array, qx: Array, qy: Array) -> tuple[Array, Array]:
    """Colours times coverage, and the coverage."""
    shape = v.part("shapes", "shape")
    roles = [_sample(shape[..., n], ox, oy) for n in range(5)]
    coverage = np.minimum(sum(roles), 1) * _within(ox, oy) * (v.one("object") > 0)
    first = _textured(v, "main", ox, oy)
    first = np.clip((first - 0.5) * v.one("sharpness") + 0.5, 0, 1)
    main = _three(v["main_palette"], v.one("main_depth") * first + (1 - v.one("main_depth")) / 2)
    depth = v.one("second_depth")
    second = _three(v["second_palette"], depth * _textured(v, "second", ox, oy) + (1 - depth) / 2)
    if v.one("second_is_shade") > 0:
        second = np.clip(main * v.one("shade"), 0, 1)
    size = v.one("print_size")
    px, py = (ox - v["print_place"][0]) / size, (oy - v["print_place"][1]) / size
    inside = (np.abs(px) < 1) & (np.abs(py) < 1)
    main = _mixed(main, v["print_colour"], v.one("print") * inside * _sample(v.part("prints", "print"), px, py))
    height = shape[..., _HEIGHT]
    here, step = _sample(height, ox, oy), 2 / SIDE
    slopes = _sample(height, ox + step, oy) - here, _sample(height, ox, oy + step) - here
    scale = v["fold_scale"]
    fold = _sample(v.part("noises", "folds"), _folded(ox * scale[0]), _folded(oy * scale[1]))
    ridge = (1 - np.abs(2 * fold - 1)) ** 4
    folds = v.one("folds") * (ridge if v.one("folds") < 0 else fold - 0.5)
    relief = np.clip(v["light"][0] * slopes[0] + v["light"][1] * slopes[1], -0.5, 0.45)
    lamp = np.clip(1 + relief + folds + v["ramp"][0] * qx + v["ramp"][1] * qy, 0.15, 1.6)
    lamp = lamp * (1 - v.one("rim") * _sample(shape[..., _RIM], ox, oy))
    plain = [np.broadcast_to(v[name], main.shape) for name in ("detail", "metal", "dark")]
    mixed = sum(role[..., None] * ink for role, ink in zip(roles, [main, second, *plain], strict=True))
    return mixed * lamp[..., None] * (coverage > 0)[..., None], coverage


def _ground(v: View, qx: Array, qy: Array) -> Array:
    light = 1 + v.one("ground_ramp") * qy
    if v.one("ground_shade") > 0:
        noise = v.part("noises", "shade")
        light = light - v.one("ground_shade") * _sample(noise, _folded(qx * 0.6), _folded(qy * 0.6))
    if v.one("plain") > 0:
        return v["ground_colour"] * light[..., None]
    c, s = v["ground_axis"]
    x, y = c * qx - s * qy + v["ground_place"][0], s * qx + c * qy + v["ground_place"][1]
    here, there = (
        np.stack([_sample(v.part("grounds", name)[..., n], x, y) for n in range(3)], -1)
        for name in ("ground", "other_ground")
    )
    mask = _sample(v.part("patterns", "mask"), x, y) > v.one("ground_mix")
    other = mask & (v.one("ground_mix") > -1)
    return np.clip(np.where(other[..., None], there, here) * v["ground_tint"], 0, 1) * light[..., None]


def _textured(v: View, role: str, ox: Array, oy: Array) -> Array:
    t = v[f"{role}_texture"]
    pattern = v.part("patterns", f"{role}_pattern")
    return _sample(pattern, _folded(t[0] * ox + t[1] * oy + t[2]), _folded(t[3] * ox + t[4] * oy + t[5]))


def _stamp(v: View, name: str, drawn: Array, x: Array, y: Array) -> Array:
    """How much of what lies on top covers each pixel."""
    if v.one(name) <= 0:
        return np.zeros_like(x)
    (wide, high), (left, top) = v[f"{name}_size"], v[f"{name}_place"]
    cx, cy = (x - left) / wide, (y - top) / high
    return _sample(drawn, cx, cy) * ((np.abs(cx) < 1) & (np.abs(cy) < 1))


def _three(palette: Array, t: Array) -> Array:
    a, b, c = palette.reshape(3, 3)
    weights = np.maximum(1 - 2 * t, 0), 1 - np.abs(2 * t - 1), np.maximum(2 * t - 1, 0)
    return sum(w[..., None] * ink for w, ink in zip(weights, (a, b, c), strict=True))


def _mixed(under: Array, ink: Array, share: Array) -> Array:
    return under + share[..., None] * (ink - under)


def _within(x: Array, y: Array) -> Array:
    return (np.abs(x) <= 1) & (np.abs(y) <= 1)


def _folded(t: Array) -> Array:
    s = t / 4 + 0.25
    return 1 - 4 * np.abs(s - np.floor(s) - 0.5)


def _sample(part: Array, x: Array, y: Array) -> Array:
    """Bilinear, clamped at the edges."""
    px = np.clip((x + 1) * (SIDE / 2) - 0.5, 0, SIDE - 1.001)
    py = np.clip((y + 1) * (SIDE / 2) - 0.5, 0, SIDE - 1.001)
    column, row = px.astype(int), py.astype(int)
    a, b = px - column, py - row
    above = part[row, column] * (1 - a) + part[row, column + 1] * a
    below = part[row + 1, column] * (1 - a) + part[row + 1, column + 1] * a
    return above * (1 - b) + below * b
