"""ICC profiles written by hand, and their colours in sRGB by the formulas of the standards."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

Curve = Callable[[np.ndarray], np.ndarray]
D50 = (0.9642, 1.0, 0.8249)
_D65 = (0.3127, 0.3290)
SPACES: dict[str, tuple[tuple[float, ...], float]] = {  # x and y of red, green, blue, white; gamma, 0 for sRGB's curve
    "sRGB": ((0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65), 0.0),
    "Display P3": ((0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *_D65), 0.0),
    "Adobe RGB": ((0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65), 563 / 256),
    "ProPhoto RGB": ((0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001, 0.3457, 0.3585), 1.8),
    "Rec. 2020": ((0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65), 2.4),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def linear(values: np.ndarray, gamma: float) -> np.ndarray:
    """`values`: 0 to 1. `gamma` 0: the sRGB curve."""
    if gamma:
        return np.asarray(values**gamma)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(values: np.ndarray, gamma: float) -> np.ndarray:
    """The inverse of `linear`."""
    values = np.clip(values, 0, 1)
    if gamma:
        return np.asarray(values ** (1 / gamma))
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


def to_d50(space: str) -> np.ndarray:
    """The matrix from linear RGB to CIE XYZ under D50, (3, 3)."""
    points = SPACES[space][0]
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in zip(points[0::2], points[1::2], strict=True)]).T
    matrix = columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])
    ratio = (_BRADFORD @ np.array(D50)) / (_BRADFORD @ columns[:, 3])
    return np.linalg.inv(_BRADFORD) @ np.diag(ratio) @ _BRADFORD @ matrix


def in_space(srgb: np.ndarray, space: str, gamma: float | None = None) -> np.ndarray:
    """The same colours, from sRGB as uint8 to another space in 0 to 1, by its own curve or another gamma."""
    xyz = linear(np.arange(256) / 255, 0.0)[srgb] @ to_d50("sRGB").T
    return encoded(xyz @ np.linalg.inv(to_d50(space)).T, SPACES[space][1] if gamma is None else gamma)


def matrix_profile(space: str, version: int = 2) -> bytes:
    """An RGB profile with matrix and curves."""
    matrix, gamma = to_d50(space), SPACES[space][1]
    curve = _parametric(gamma) if version == 4 else _curve(gamma)
    tags = {name: b"XYZ \0\0\0\0" + _fixed(*matrix[:, n]) for n, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return profile(b"RGB ", b"XYZ ", tags, version)


def grey_profile(gamma: float, version: int = 2) -> bytes:
    """A grey profile with one curve."""
    return profile(b"GRAY", b"XYZ ", {b"kTRC": _parametric(gamma) if version == 4 else _curve(gamma)}, version)


def table_profile(space: bytes, channels: int, lab_of: Callable[[np.ndarray], np.ndarray], points: int) -> bytes:
    """A profile with a table from channels to Lab. `lab_of`: (n, channels), 0 to 1, to (n, 3) Lab."""
    axes = np.meshgrid(*[np.linspace(0, 1, points)] * channels, indexing="ij")
    lab = lab_of(np.stack(axes, axis=-1).reshape(-1, channels))
    stored = np.stack([lab[:, 0] * 255 / 100, lab[:, 1] + 128, lab[:, 2] + 128], axis=1)
    identity = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes((channels, 3, points, 0)) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += identity * channels + np.clip(stored.round(), 0, 255).astype(np.uint8).tobytes() + identity * 3
    return profile(space, b"Lab ", {b"A2B0": table}, 2)


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes], version: int) -> bytes:
    """A display profile; a printer profile for CMYK."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50), b"cprt": b"text\0\0\0\0none\0"} | tags
    directory, content, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        directory += name + struct.pack(">II", start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    size = start + len(content)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I4sI4s4s4s12x4s", size, b"test", version << 24, kind, space, connection, b"acsp")
    head = (head + bytes(68 - len(head))) + _fixed(*D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + content


def _curve(gamma: float) -> bytes:
    if gamma:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    points = (linear(np.linspace(0, 1, 1024), 0.0) * 65_535).round().astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + points.tobytes()


def _parametric(gamma: float) -> bytes:
    if gamma:
        return b"para\0\0\0\0\0\0\0\0" + _fixed(gamma)
    return b"para\0\0\0\0\0\3\0\0" + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(float(v) * 65_536)) for v in values)


def lab_of_xyz(xyz: np.ndarray) -> np.ndarray:
    """CIE Lab under D50."""
    ratio = xyz / np.array(D50)
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
