"""From pixels to the tensor that a model takes. Part of the encoder's fingerprint: a change here is a new
PREPROCESSING_VERSION."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.manifest import InputSpec

Tensor = NDArray[np.generic]
# How many times the model's side the decoded picture keeps at least; more where a frame may be cut off.
_ENOUGH, _ENOUGH_TO_TRIM = 2, 3
_TRIM_SIDE, _TRIM_TOLERANCE, _TRIM_SHARE, _TRIM_MOST = 160, 14, 0.98, 0.35


class Placement(NamedTuple):
    """Where a picture lies in the model's input, in pixels of the input. It may reach beyond the edges."""

    top: int
    left: int
    height: int
    width: int


def to_tensor(pixels: NDArray[np.uint8], spec: InputSpec) -> Tensor:
    """One picture, uint8 (height, width, 3) RGB, as the model's input without the batch axis.

    Result: dtype and layout of `spec`, (3, h, w) or (h, w, 3).
    """
    height, width = spec.size
    if spec.trim == "frame":
        pixels = trimmed(pixels)
    fitted = _fit(pixels, height, width, spec)
    if spec.color == "BGR":
        fitted = fitted[:, :, ::-1]
    if spec.dtype == "uint8":
        tensor: Tensor = fitted
    else:
        scaled = fitted.astype(np.float32)
        scaled *= np.float32(spec.scale)
        scaled -= np.array(spec.mean, np.float32)
        scaled /= np.array(spec.std, np.float32)
        tensor = scaled.astype(spec.dtype, copy=False)
    return np.ascontiguousarray(tensor.transpose(2, 0, 1) if spec.layout == "NCHW" else tensor)


def enough_pixels(spec: InputSpec) -> int:
    """The shorter side below which a picture is not decoded smaller than it is; 0: decode at full size."""
    if spec.decode == "full":
        return 0
    return max(spec.size) * (_ENOUGH_TO_TRIM if spec.trim == "frame" else _ENOUGH)


def tensor_shape(spec: InputSpec) -> tuple[int, int, int]:
    """Shape of one tensor, without the batch axis."""
    height, width = spec.size
    return (3, height, width) if spec.layout == "NCHW" else (height, width, 3)


def trimmed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without a plain frame around the picture, where there is one; a view of `pixels`.

    The ground of a product is no frame: the cut is kept only where the picture within does not end in the same colour.
    """
    step = max(1, max(pixels.shape[:2]) // _TRIM_SIDE)
    small = np.ascontiguousarray(pixels[::step, ::step])
    ring = np.concatenate([small[0], small[-1], small[1:-1, 0], small[1:-1, -1]])
    ground = np.median(ring, axis=0, overwrite_input=True)
    ring[:] = 0  # numpy keeps arrays as small as this one, with what is in them
    near = cv2.inRange(small, np.ceil(ground - _TRIM_TOLERANCE), np.floor(ground + _TRIM_TOLERANCE)) > 0
    rows, columns = near.mean(axis=1) >= _TRIM_SHARE, near.mean(axis=0) >= _TRIM_SHARE
    top, bottom, left, right = (_leading(line) for line in (rows, rows[::-1], columns, columns[::-1]))
    inner = near[top : len(rows) - bottom, left : len(columns) - right]
    if top + bottom + left + right == 0 or _ends_alike(inner):
        return pixels
    height, width = pixels.shape[:2]
    return pixels[top * step : height - bottom * step, left * step : width - right * step]


def _leading(line: NDArray[np.bool_]) -> int:
    """How many of the first entries are true, at most _TRIM_MOST of all."""
    most = int(_TRIM_MOST * len(line))
    return most if line[:most].all() else int(line[:most].argmin())


def _ends_alike(near: NDArray[np.bool_]) -> bool:
    """Whether half of the outer ring is still in the colour of the frame, or nothing is left within."""
    edge = max(1, max(near.shape) // 40)
    if min(near.shape) <= 2 * edge:
        return True
    inside = near[edge:-edge, edge:-edge]
    return bool((near.sum() - inside.sum()) * 2 >= near.size - inside.size)


def placement(rows: int, columns: int, spec: InputSpec) -> Placement:
    """Where `to_tensor` puts a picture of so many rows and columns, of which it trims nothing."""
    height, width = spec.size
    if spec.resize == "stretch":
        return Placement(0, 0, height, width)
    if spec.resize == "pad":
        factor = min(height / rows, width / columns)
        fitted = max(1, round(rows * factor)), max(1, round(columns * factor))
    else:
        factor = max(height / rows, width / columns) / spec.crop_fraction
        fitted = max(height, round(rows * factor)), max(width, round(columns * factor))
    return Placement(int((height - fitted[0]) / 2), int((width - fitted[1]) / 2), *fitted)


def _fit(pixels: NDArray[np.uint8], height: int, width: int, spec: InputSpec) -> NDArray[np.uint8]:
    placed = placement(pixels.shape[0], pixels.shape[1], spec)
    resized = _resize(pixels, placed.height, placed.width)
    if spec.resize == "stretch":
        return resized
    if spec.resize == "pad":
        canvas = np.full((height, width, 3), spec.pad_value, np.uint8)
        canvas[placed.top : placed.top + placed.height, placed.left : placed.left + placed.width] = resized
        return canvas
    return resized[-placed.top : height - placed.top, -placed.left : width - placed.left]


def _resize(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=method)  # type: ignore[return-value]
