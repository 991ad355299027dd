"""Passes some views through a random filter, so that outlines count more than texture (Xu et al., "Robust and
Generalizable Visual Representation Learning via Random Convolutions", ICLR 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

_WIDTH = 5


def filter_some(views: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Mixes a share of the views with a filtered copy of 1, 3 or 5 pixels.

    `views`: (v, 3, side, side) of 0 to 1. Returns them, and which were filtered: bool (v,).
    """
    count, side = max(1, round(share * len(views))), views.shape[-1]
    rows = torch.randperm(len(views), device=views.device)[:count]
    chosen = views[rows]
    kernels = _kernels(count, views.device).to(views.dtype)
    reach = _WIDTH // 2
    places = torch.arange(-reach, side + reach, device=views.device).clamp(0, side - 1)
    padded = (chosen - 0.5)[:, :, places][:, :, :, places]
    shifts = [padded[:, :, y : y + side, x : x + side] for y in range(_WIDTH) for x in range(_WIDTH)]
    columns = torch.stack(shifts, 2).reshape(count, 3 * _WIDTH**2, side * side)
    filtered = torch.bmm(kernels, columns).view(chosen.shape) + 0.5
    share_of_own = torch.rand(count, 1, 1, 1, device=views.device).to(views.dtype)
    mixed = (share_of_own * chosen + (1 - share_of_own) * filtered).clamp(0, 1)
    flags = torch.zeros(len(views), dtype=torch.bool, device=views.device)
    flags[rows] = True
    return views.index_copy(0, rows, mixed), flags


def _kernels(count: int, device: torch.device) -> Tensor:
    """(count, 3, 3 * 25): random filters of unit variance, each nonzero on 1, 3 or 5 pixels of a side."""
    masks = torch.zeros(3, _WIDTH, _WIDTH, device=device)
    for number in range(3):
        inner = slice(2 - number, 3 + number)
        masks[number, inner, inner] = 1
    mask = masks[torch.randint(0, 3, (count,), device=device)]
    scale = 1 / (3 * mask.sum((1, 2))).sqrt()
    weights = torch.randn(count, 3, 3, _WIDTH, _WIDTH, device=device)
    return (weights * (mask * scale[:, None, None])[:, None, None]).reshape(count, 3, 3 * _WIDTH**2)
