"""From pixels to the tensor that a model takes. Part of the encoder's fingerprint: a change here is a new
PREPROCESSING_VERSION."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from service.encoder.manifest import InputSpec

Tensor = NDArray[np.generic]


def to_tensor(pixels: NDArray[np.uint8], spec: InputSpec) -> Tensor:
    """One picture, uint8 (height, width, 3) RGB, as the model's input without the batch axis.

    Result: dtype and layout of `spec`, (3, h, w) or (h, w, 3).
    """
    height, width = spec.size
    fitted = _fit(pixels, height, width, spec)
    if spec.color == "BGR":
        fitted = fitted[:, :, ::-1]
    if spec.dtype == "uint8":
        tensor: Tensor = fitted
    else:
        scaled = fitted.astype(np.float32) * np.float32(spec.scale)
        tensor = ((scaled - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)).astype(spec.dtype)
    return np.ascontiguousarray(tensor.transpose(2, 0, 1) if spec.layout == "NCHW" else tensor)


def _fit(pixels: NDArray[np.uint8], height: int, width: int, spec: InputSpec) -> NDArray[np.uint8]:
    rows, columns = pixels.shape[:2]
    if spec.resize == "stretch":
        return _resize(pixels, height, width)
    if spec.resize == "pad":
        factor = min(height / rows, width / columns)
        inner = _resize(pixels, max(1, round(rows * factor)), max(1, round(columns * factor)))
        canvas = np.full((height, width, 3), spec.pad_value, np.uint8)
        top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
        canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return canvas
    factor = max(height / rows, width / columns) / spec.crop_fraction
    larger = _resize(pixels, max(height, round(rows * factor)), max(width, round(columns * factor)))
    top, left = (larger.shape[0] - height) // 2, (larger.shape[1] - width) // 2
    return larger[top : top + height, left : left + width]


def _resize(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=method)  # type: ignore[return-value]
