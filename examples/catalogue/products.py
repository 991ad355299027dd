"""A dozen kinds of product. Each is a function that paints one on a canvas, in unit coordinates (y points down)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from examples.catalogue.canvas import Canvas, Colour, Material, Points

_METAL: Colour = (0.78, 0.77, 0.74)
_WOOD: Colour = (0.62, 0.43, 0.27)
_DARK: Colour = (0.16, 0.15, 0.17)
_CREAM: Colour = (0.95, 0.93, 0.88)


def _darker(colour: Colour, factor: float = 0.72) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _oval(x: float, y: float, rx: float, ry: float) -> Points:
    return [(x + rx * np.cos(a), y + ry * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 20, endpoint=False)]


def _turned(profile: Points) -> Points:
    """The outline of something turned on a lathe: half widths by height, mirrored."""
    return [(0.5 + w, y) for w, y in profile] + [(0.5 - w, y) for w, y in reversed(profile)]


def shirt(canvas: Canvas, material: Material, variant: int) -> None:
    """A T-shirt; the variant sets the length of the sleeves."""
    sleeve = 0.36 + 0.1 * (variant % 3)
    body = [
        (0.36, 0.14),
        (0.5, 0.19),
        (0.64, 0.14),
        (0.8, 0.2),
        (0.95, sleeve),
        (0.83, sleeve + 0.07),
        (0.73, 0.36),
        (0.73, 0.6),
        (0.74, 0.87),
        (0.73, 0.89),
        (0.5, 0.9),
        (0.27, 0.89),
        (0.26, 0.87),
        (0.27, 0.6),
        (0.27, 0.36),
        (0.17, sleeve + 0.07),
        (0.05, sleeve),
        (0.2, 0.2),
    ]
    canvas.shadow(body)
    canvas.paint(body, material, softness=0.03)
    canvas.paint([(0.38, 0.145), (0.5, 0.19), (0.62, 0.145), (0.5, 0.25)], Material(_darker(material.colour, 0.6)))
    canvas.line([(0.27, 0.36), (0.235, 0.28), (0.21, 0.2)], _darker(material.colour, 0.8), 0.005)
    canvas.line([(0.73, 0.36), (0.765, 0.28), (0.79, 0.2)], _darker(material.colour, 0.8), 0.005)


def dress(canvas: Canvas, material: Material, variant: int) -> None:
    """A dress with a belt; the variant sets how wide the skirt is."""
    wide = 0.2 + 0.08 * (variant % 3)
    outline = [
        (0.39, 0.06),
        (0.42, 0.15),
        (0.5, 0.19),
        (0.58, 0.15),
        (0.61, 0.06),
        (0.645, 0.22),
        (0.6, 0.4),
        (0.5 + wide, 0.93),
        (0.5, 0.96),
        (0.5 - wide, 0.93),
        (0.4, 0.4),
        (0.355, 0.22),
    ]
    canvas.shadow(outline)
    canvas.paint(outline, material, softness=0.03)
    for x in (-0.6, -0.2, 0.25, 0.62):
        canvas.line([(0.5 + x * 0.16, 0.45), (0.5 + x * wide, 0.9)], _darker(material.colour, 0.85), 0.005)
    canvas.paint(
        [(0.395, 0.385), (0.605, 0.385), (0.61, 0.425), (0.39, 0.425)], Material(_darker(material.colour, 0.5))
    )


def trousers(canvas: Canvas, material: Material, variant: int) -> None:
    """Trousers; the variant sets how wide the legs end."""
    hem = 0.1 + 0.035 * (variant % 3)
    outline = [
        (0.33, 0.06),
        (0.67, 0.06),
        (0.7, 0.25),
        (0.66 + hem * 0.4, 0.95),
        (0.66 - hem * 0.8, 0.95),
        (0.51, 0.36),
        (0.49, 0.36),
        (0.34 + hem * 0.8, 0.95),
        (0.34 - hem * 0.4, 0.95),
        (0.3, 0.25),
    ]
    canvas.shadow(outline)
    canvas.paint(outline, material, softness=0.035, smooth=False)
    canvas.paint(
        [(0.33, 0.06), (0.67, 0.06), (0.675, 0.11), (0.325, 0.11)], Material(_darker(material.colour)), smooth=False
    )
    canvas.line([(0.5, 0.11), (0.5, 0.33)], _darker(material.colour, 0.7), 0.005)
    canvas.line([(0.36, 0.12), (0.35, 0.2), (0.31, 0.24)], _darker(material.colour, 0.75), 0.005)
    canvas.line([(0.64, 0.12), (0.65, 0.2), (0.69, 0.24)], _darker(material.colour, 0.75), 0.005)


def sneaker(canvas: Canvas, material: Material, variant: int) -> None:
    """A shoe from the side, with laces; the variant sets how high it reaches."""
    top = 0.3 - 0.07 * (variant % 3)
    upper = [
        (0.1, top + 0.06),
        (0.24, top),
        (0.36, top + 0.02),
        (0.46, 0.43),
        (0.66, 0.52),
        (0.88, 0.58),
        (0.94, 0.68),
        (0.92, 0.74),
        (0.5, 0.75),
        (0.08, 0.74),
        (0.07, 0.55),
    ]
    sole = [(0.06, 0.72), (0.5, 0.735), (0.94, 0.71), (0.95, 0.78), (0.9, 0.82), (0.1, 0.82), (0.05, 0.79)]
    canvas.shadow([*upper, (0.06, 0.82)], 0.015)
    canvas.paint(upper, material, softness=0.05)
    canvas.paint(
        [(0.76, 0.575), (0.9, 0.6), (0.94, 0.68), (0.92, 0.74), (0.74, 0.74)], Material(_darker(material.colour, 0.8))
    )
    canvas.paint(sole, Material(_CREAM, gloss=0.2), softness=0.02)
    for step in range(4):
        x, y = 0.4 + step * 0.07, 0.42 + step * 0.034
        canvas.line([(x - 0.03, y + 0.07), (x + 0.045, y - 0.005)], (0.97, 0.97, 0.97), 0.014)
    canvas.line([(0.14, 0.66), (0.3, 0.58), (0.5, 0.64), (0.62, 0.57)], material.second, 0.022)


def handbag(canvas: Canvas, material: Material, variant: int) -> None:
    """A handbag; the variant sets the height of its handle."""
    rise = 0.1 + 0.06 * (variant % 3)
    for inset in (0.0, 0.03):
        canvas.line(
            [(0.32 + inset, 0.42), (0.36 + inset, rise + inset), (0.64 - inset, rise + inset), (0.68 - inset, 0.42)],
            _darker(material.colour, 0.55),
            0.022,
        )
    body = [(0.17, 0.42), (0.5, 0.39), (0.83, 0.42), (0.9, 0.82), (0.85, 0.88), (0.5, 0.9), (0.15, 0.88), (0.1, 0.82)]
    canvas.shadow(body)
    canvas.paint(body, material, softness=0.05)
    flap = [(0.17, 0.415), (0.5, 0.385), (0.83, 0.415), (0.8, 0.58), (0.5, 0.64), (0.2, 0.58)]
    canvas.paint(flap, Material(_darker(material.colour, 0.86), gloss=0.25), softness=0.03)
    canvas.paint(
        [(0.46, 0.6), (0.54, 0.6), (0.54, 0.68), (0.46, 0.68)], Material((0.83, 0.68, 0.36), gloss=0.6), softness=0.02
    )


def mug(canvas: Canvas, material: Material, variant: int) -> None:
    """A mug with a handle; the variant sets how slender it is."""
    half = 0.3 - 0.04 * (variant % 3)
    canvas.line(
        [(0.45 + half, 0.34), (0.6 + half, 0.36), (0.62 + half, 0.55), (0.44 + half, 0.68)],
        _darker(material.colour, 0.85),
        0.06,
    )
    body = [
        (0.45 - half, 0.2),
        (0.45 + half, 0.2),
        (0.44 + half, 0.78),
        (0.38 + half, 0.85),
        (0.52 - half, 0.85),
        (0.46 - half, 0.78),
    ]
    canvas.shadow(body)
    canvas.paint(body, material, softness=0.12, smooth=False)
    canvas.paint(_oval(0.45, 0.2, half, 0.055), Material(_CREAM, gloss=0.3), softness=0.01)
    canvas.paint(_oval(0.45, 0.21, half * 0.88, 0.04), Material((0.36, 0.22, 0.14)), softness=0.01)


def vase(canvas: Canvas, material: Material, variant: int) -> None:
    """A vase turned on a lathe; the variant sets its belly."""
    belly = (0.34, 0.26, 0.2)[variant % 3]
    profile = [(0.12, 0.08), (0.09, 0.2), (belly * 0.85, 0.42), (belly, 0.6), (belly * 0.8, 0.8), (0.14, 0.93)]
    canvas.shadow(_turned(profile))
    canvas.paint(
        _turned(profile),
        Material(material.colour, material.second, material.pattern, 0.45, material.seed),
        softness=0.14,
    )
    canvas.paint(_oval(0.5, 0.09, 0.12, 0.025), Material(_darker(material.colour, 0.4)), softness=0.01)


def lamp(canvas: Canvas, material: Material, variant: int) -> None:
    """A table lamp; the variant sets the shape of its shade."""
    narrow = (0.12, 0.2, 0.27)[variant % 3]
    canvas.paint([(0.485, 0.45), (0.515, 0.45), (0.52, 0.86), (0.48, 0.86)], Material(_METAL, gloss=0.7), softness=0.02)
    canvas.paint(_oval(0.5, 0.88, 0.19, 0.045), Material(_darker(_METAL, 0.8), gloss=0.6), softness=0.03)
    shade = [(0.5 - narrow, 0.1), (0.5 + narrow, 0.1), (0.82, 0.5), (0.18, 0.5)]
    canvas.shadow(shade)
    canvas.paint(shade, material, softness=0.12, smooth=False)
    canvas.line([(0.18, 0.5), (0.5, 0.51), (0.82, 0.5)], _darker(material.colour, 0.7), 0.012)


def chair(canvas: Canvas, material: Material, variant: int) -> None:
    """A chair with a cushioned back; the variant sets the height of the back."""
    top = 0.06 + 0.09 * (variant % 3)
    for leg in (
        [(0.27, 0.62), (0.22, 0.96)],
        [(0.73, 0.62), (0.78, 0.96)],
        [(0.36, 0.6), (0.35, 0.88)],
        [(0.64, 0.6), (0.65, 0.88)],
    ):
        canvas.line(leg, _WOOD, 0.035)
    back = [(0.28, top + 0.03), (0.5, top), (0.72, top + 0.03), (0.74, 0.48), (0.5, 0.5), (0.26, 0.48)]
    seat = [(0.24, 0.53), (0.5, 0.5), (0.76, 0.53), (0.82, 0.64), (0.5, 0.7), (0.18, 0.64)]
    canvas.shadow(back)
    canvas.paint(back, material, softness=0.06)
    canvas.shadow(seat, 0.01)
    canvas.paint(seat, material, softness=0.05)


def watch(canvas: Canvas, material: Material, variant: int) -> None:
    """A wrist watch; the variant sets the size of its case."""
    radius = 0.21 + 0.025 * (variant % 3)
    for y0, y1 in ((0.02, 0.36), (0.64, 0.98)):
        strap = [(0.4, y0), (0.6, y0), (0.62, y1), (0.38, y1)]
        canvas.shadow(strap, 0.012)
        canvas.paint(strap, material, softness=0.04, smooth=False)
    canvas.shadow(_oval(0.5, 0.5, radius, radius))
    canvas.paint(_oval(0.5, 0.5, radius, radius), Material(_METAL, gloss=0.8), softness=0.03)
    canvas.paint(_oval(0.5, 0.5, radius * 0.84, radius * 0.84), Material(material.second, gloss=0.2), softness=0.01)
    for hour in range(12):
        angle = hour * np.pi / 6
        canvas.dot(0.5 + radius * 0.7 * np.sin(angle), 0.5 - radius * 0.7 * np.cos(angle), 0.011, _DARK)
    canvas.line([(0.5, 0.5), (0.5 + radius * 0.3, 0.5 - radius * 0.32)], _DARK, 0.018)
    canvas.line([(0.5, 0.5), (0.5 - radius * 0.1, 0.5 - radius * 0.6)], _DARK, 0.012)


def backpack(canvas: Canvas, material: Material, variant: int) -> None:
    """A backpack with a front pocket; the variant sets the pocket's height."""
    canvas.line([(0.44, 0.1), (0.46, 0.03), (0.54, 0.03), (0.56, 0.1)], _darker(material.colour, 0.5), 0.03)
    body = [(0.3, 0.12), (0.5, 0.07), (0.7, 0.12), (0.79, 0.4), (0.8, 0.86), (0.5, 0.93), (0.2, 0.86), (0.21, 0.4)]
    canvas.shadow(body)
    canvas.paint(body, material, softness=0.06)
    top = (0.5, 0.56, 0.62)[variant % 3]
    pocket = [(0.28, top), (0.5, top - 0.02), (0.72, top), (0.73, 0.84), (0.5, 0.88), (0.27, 0.84)]
    canvas.shadow(pocket, 0.008, 0.25)
    canvas.paint(pocket, Material(_darker(material.colour, 0.82), gloss=0.1), softness=0.03)
    canvas.line([(0.3, top + 0.05), (0.5, top + 0.03), (0.7, top + 0.05)], _METAL, 0.01)
    canvas.line([(0.24, 0.34), (0.5, 0.3), (0.76, 0.34)], _darker(material.colour, 0.6), 0.012)


def cushion(canvas: Canvas, material: Material, variant: int) -> None:
    """A cushion; the variant sets whether it is square, broad or round."""
    if variant % 3 == 2:
        outline: Points = _oval(0.5, 0.5, 0.4, 0.4)
    else:
        h = 0.4 if variant % 3 == 0 else 0.27
        outline = [
            (0.08, 0.5 - h),
            (0.5, 0.55 - h),
            (0.92, 0.5 - h),
            (0.87, 0.5),
            (0.92, 0.5 + h),
            (0.5, 0.45 + h),
            (0.08, 0.5 + h),
            (0.13, 0.5),
        ]
    canvas.shadow(outline)
    canvas.paint(outline, material, softness=0.16)
    canvas.dot(0.5, 0.5, 0.022, _darker(material.colour, 0.6))


KINDS: dict[str, Callable[[Canvas, Material, int], None]] = {
    "shirt": shirt,
    "dress": dress,
    "trousers": trousers,
    "sneaker": sneaker,
    "handbag": handbag,
    "mug": mug,
    "vase": vase,
    "lamp": lamp,
    "chair": chair,
    "watch": watch,
    "backpack": backpack,
    "cushion": cushion,
}
