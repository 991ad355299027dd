"""The network's features in plain numpy, one picture at a time: slow, and written from its description."""

from __future__ import annotations

import cv2
import numpy as np

from service.encoder.builtin.network import SIDE, STAGES, NetworkWeights

Array = np.ndarray


def features(pixels: Array, weights: NetworkWeights) -> tuple[Array, Array]:
    """Instance and family features of uint8 pictures (n, 96, 96, 3), each the mean over the picture and its mirror
    image."""
    instances, families = [], []
    for picture in pixels:
        large = cv2.resize(picture.astype(np.float32) / 255, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        both = [_one(view.transpose(2, 0, 1), weights) for view in (large, large[:, ::-1])]
        instances.append((both[0][0] + both[1][0]) / 2)
        families.append(_unit(_unit(both[0][1]) + _unit(both[1][1])))
    return np.stack(instances), np.stack(families)


def _one(planes: Array, weights: NetworkWeights) -> tuple[Array, Array]:
    value = np.maximum(_convolved((planes - 0.5) * 4, "stem", weights, 2), 0)
    stages = []
    for stage, count in enumerate(STAGES, 1):
        value = np.maximum(_convolved(value, f"down{stage}", weights, 2), 0)
        for number in range(count):
            inner = np.maximum(_convolved(value, f"stage{stage}_{number}a", weights, 1), 0)
            value = np.maximum(value + _convolved(inner, f"stage{stage}_{number}b", weights, 1), 0)
        stages.append(value)
    middle, last = stages[-2], stages[-1]
    neck = np.maximum(_convolved(last, "neck", weights, 1), 0)
    mean = middle.mean((1, 2))
    deviation = np.sqrt(((middle - mean[:, None, None]) ** 2).mean((1, 2)) + 1e-6)
    instance = [_windows(middle, 6, 4), mean, deviation, last.mean((1, 2)), _windows(middle[:, 2:12, 2:12], 4, 3)]
    pooled = [neck.mean((1, 2)), _windows(neck, 4, 3), _windows(neck, 3, 2), last.mean((1, 2)),
              _windows(middle, 8, 6), mean]  # fmt: skip
    return np.concatenate(instance), np.concatenate(pooled) @ weights.family + weights.family_bias


def _convolved(planes: Array, name: str, weights: NetworkWeights, stride: int) -> Array:
    layer = weights.convolutions[name]
    size = layer.kernel.shape[-1]
    around = size // 2
    padded = np.pad(planes, ((0, 0), (around, around), (around, around)))
    high, wide = (-(-side // stride) for side in planes.shape[1:])
    total = np.broadcast_to(layer.bias[:, None, None], (len(layer.bias), high, wide)).copy()
    for y in range(size):
        for x in range(size):
            seen = padded[:, y : y + stride * high : stride, x : x + stride * wide : stride]
            total += np.einsum("oi,ihw->ohw", layer.kernel[:, :, y, x], seen, optimize=True)
    return total


def _windows(maps: Array, size: int, step: int) -> Array:
    """Means by channel, then row by row."""
    starts = range(0, maps.shape[1] - size + 1, step)
    means = [[maps[:, y : y + size, x : x + size].mean((1, 2)) for x in starts] for y in starts]
    return np.array(means).transpose(2, 0, 1).ravel()


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
