"""The parameters of one drawn view, in the order in which the renderer reads them.

The C structures of the kernel are made from these tables, so that both sides always agree.
"""

from __future__ import annotations

from typing import Final

# name -> how many floats
VIEW: Final[dict[str, int]] = {
    # material: three colours of a pattern for each of two roles, then plain colours
    "main_palette": 9, "second_palette": 9, "second_is_shade": 1, "shade": 1, "detail": 3, "metal": 3, "dark": 3,
    "main_depth": 1, "second_depth": 1, "sharpness": 1, "main_texture": 6, "second_texture": 6,
    "print": 1, "print_place": 2, "print_size": 1, "print_colour": 3, "rim": 1, "folds": 1, "fold_scale": 2,
    # edit: from the finished picture to the picture before it
    "turn": 4, "crop_size": 2, "crop_place": 2, "frame_size": 2, "frame": 1, "frame_colour": 3,
    # pose: from the picture to the layer of the object
    "pose": 4, "place": 2, "tilt": 2, "heap": 1, "heap_turn": 1, "heap_shift": 1, "heap_behind": 1,
    "plain": 1, "ground_axis": 2, "ground_place": 2, "ground_mix": 1, "ground_shade": 1, "ground_ramp": 1,
    "ground_colour": 3, "ground_tint": 3,
    "shadow": 1, "light": 2, "ramp": 2, "shadow_place": 2, "object": 1,
    # photograph: 3 x 3 matrix of colours and what follows it
    "matrix": 9, "offset": 1, "contrast": 1, "gamma": 1, "noise": 1, "inverted": 1,
    "cover": 1, "cover_is_box": 1, "cover_place": 2, "cover_size": 2, "cover_colour": 3,
    "words": 1, "words_place": 2, "words_size": 2, "words_colour": 3,
    "wobble": 1, "wobble_scale": 1, "wobble_place": 2,
    "blur": 2,
}  # fmt: skip
# indices into the pools of drawn parts
SOURCES: Final = (
    "shape", "main_pattern", "second_pattern", "print", "folds", "ground", "other_ground", "shade", "mask",
    "cover", "words", "wobble",
)  # fmt: skip
FLOATS: Final = sum(VIEW.values())


def offset(name: str) -> int:
    """Where a parameter starts."""
    start = 0
    for other, size in VIEW.items():
        if other == name:
            return start
        start += size
    raise KeyError(name)


def c_structures() -> str:
    """The declarations of `View` and `Sources`, as C."""
    floats = "".join(f"  float {name}{f'[{size}]' if size > 1 else ''};\n" for name, size in VIEW.items())
    numbers = "".join(f"  long long {name};\n" for name in SOURCES)
    return f"typedef struct {{\n{floats}}} View;\ntypedef struct {{\n{numbers}}} Sources;\n"
