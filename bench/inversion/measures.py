"""Measures of attacks: how like its original a picture is, and how well scores tell members from others."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Pictures = NDArray[np.uint8]  # (n, height, width, 3) RGB
_WINDOW, _DEVIATION = 11, 1.5  # of SSIM, in pixels
_SMALL, _SMALLER = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_LUMA = (0.299, 0.587, 0.114)


def psnr(made: Pictures, originals: Pictures) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each picture in dB, shape (n,). Infinite for equal pictures."""
    apart = made.astype(np.float64) - originals.astype(np.float64)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / (apart**2).mean(axis=(1, 2, 3)))


def ssim(made: Pictures, originals: Pictures) -> NDArray[np.float64]:
    """Structural similarity of each picture, shape (n,), on luma: 1 for equal ones, near 0 for unrelated ones (Wang et
    al., "Image quality assessment: from error visibility to structural similarity", 2004)."""
    return np.array([_similarity(_luma(a), _luma(b)) for a, b in zip(made, originals, strict=True)])


def roc_auc(members: Floats, others: Floats) -> float:
    """The chance that a member scores higher than another one, where ties count half: 0.5 for guessing."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, members, "left")
    not_above = np.searchsorted(ordered, members, "right")
    return float((below + not_above).sum() / (2 * len(members) * len(others)))


def tpr_at(members: Floats, others: Floats, fpr: float = 0.01) -> float:
    """The largest share of members above a threshold that at most `fpr` of the others are above."""
    threshold = np.sort(others)[::-1][int(fpr * len(others))]
    return float((members > threshold).mean())


def found_among(made: Floats, originals: Floats, k: int = 1) -> float:
    """The share of vectors, shape (m, d), with fewer than k of all, shape (n, d), nearer than their original, by
    Euclidean distance. The first m of all are the originals."""
    far = (originals**2).sum(axis=1)[None] - 2 * (made @ originals.T)
    own = np.take_along_axis(far, np.arange(len(made))[:, None], axis=1)
    return float(((far < own).sum(axis=1) < k).mean())


def _similarity(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a, variance_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    both = _blurred(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + _SMALL) / (mean_a**2 + mean_b**2 + _SMALL)
    structure = (2 * both + _SMALLER) / (variance_a + variance_b + _SMALLER)
    return float((light * structure).mean())


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means over whole windows: without the border."""
    edge = _WINDOW // 2
    blurred = np.asarray(cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _DEVIATION), np.float64)
    return blurred[edge:-edge, edge:-edge]


def _luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return picture.astype(np.float64) @ np.array(_LUMA)
