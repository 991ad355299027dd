"""The head as a PyTorch module, its losses, and its conversion to plain arrays."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.encoder.builtin.head import HeadWeights, Weights
from service.encoder.builtin.train.reduction import COARSE, FINE, Components, Reduction

_POOLED_CELLS = 13  # 3 x 3 and 2 x 2


class Head(nn.Module):
    """Maps reduced scattering maps to vectors that are not normalised yet."""

    def __init__(self, channels: int, dimension: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.fine = nn.Conv2d(FINE, channels, 1, bias=False)
        self.fine_norm = nn.BatchNorm2d(channels)
        self.down = nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)
        self.coarse = nn.Conv2d(COARSE, channels, 1, bias=False)
        self.coarse_norm = nn.BatchNorm2d(channels)
        self.across = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.across_norm = nn.BatchNorm2d(channels)
        self.pooled_norm = nn.BatchNorm1d(channels * _POOLED_CELLS)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(channels * _POOLED_CELLS, dimension)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """fine: (n, FINE, 12, 12), coarse: (n, COARSE, 6, 6) -> (n, dimension)."""
        above = F.relu(self.fine_norm(self.fine(fine)))
        joined = F.relu(self.coarse_norm(self.down(above) + self.coarse(coarse)))
        deep = joined + F.relu(self.across_norm(self.across(joined)))
        pooled = torch.cat([F.avg_pool2d(deep, n).flatten(1) for n in (2, 3)], 1)
        return self.out(self.dropout(self.pooled_norm(pooled)))


def instance_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Each vector must select its partner among all partners (InfoNCE: van den Oord et al., 2018), in both
    directions."""
    likeness = first @ second.T / temperature
    own = torch.arange(len(first), device=first.device)
    return (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own)) / 2


def family_loss(vectors: Tensor, kinds: Tensor, temperature: float) -> Tensor:
    """Attracts partners and goods of one kind (supervised contrast: Khosla et al., NeurIPS 2020).

    `vectors`: (2 n, d), first pictures before second ones. `kinds`: (n,), negative if only the partner counts.
    """
    count = len(kinds)
    itself = torch.eye(2 * count, dtype=torch.bool, device=vectors.device)
    kind, pair = torch.cat([kinds, kinds]), torch.arange(count, device=vectors.device).repeat(2)
    together = ((pair[:, None] == pair) | ((kind[:, None] == kind) & (kind[:, None] >= 0))) & ~itself
    likeness = (vectors @ vectors.T / temperature).masked_fill(itself, -1e4)
    log_share = likeness - likeness.logsumexp(1, keepdim=True)
    return -((log_share * together).sum(1) / together.sum(1)).mean()


def folded(head: Head, reduction: Reduction) -> HeadWeights:
    """The weights of the trained head, with the reduction and all normalisations folded in."""
    head = head.eval().cpu()
    fine_gain, fine_shift = _norm(head.fine_norm)
    joined_gain, joined_shift = _norm(head.coarse_norm)
    across_gain, across_shift = _norm(head.across_norm)
    pooled_gain, pooled_shift = _norm(head.pooled_norm)
    fine, fine_offset = _through(reduction.fine, _array(head.fine.weight)[:, :, 0, 0] * fine_gain[:, None])
    coarse, coarse_offset = _through(reduction.coarse, _array(head.coarse.weight)[:, :, 0, 0] * joined_gain[:, None])
    out = _array(head.out.weight)
    arrays = (
        fine, fine_shift + fine_offset, _array(head.down.weight) * joined_gain[:, None, None, None], coarse,
        joined_shift + coarse_offset, _array(head.across.weight) * across_gain[:, None, None, None], across_shift,
        (out * pooled_gain).T, _array(head.out.bias) + out @ pooled_shift,
    )  # fmt: skip
    return HeadWeights(*(np.ascontiguousarray(a, np.float32) for a in arrays))


def _norm(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Weights, Weights]:
    """A batch normalisation in evaluation mode as scale and shift."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    return gain, _array(norm.bias) - gain * _array(norm.running_mean)


def _through(components: Components, kernel: Weights) -> tuple[Weights, Weights]:
    """Converts a 1 x 1 kernel on reduced maps to one on raw maps, with its offset."""
    raw = kernel @ components.basis.T
    return raw, -raw @ components.mean


def _array(tensor: Tensor) -> Weights:
    return tensor.detach().numpy().astype(np.float32)
