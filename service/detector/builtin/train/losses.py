"""Which points learn which box, and the losses.

A point near the centre of a good learns its box (FCOS, Tian et al., ICCV 2019), by the generalised overlap (Rezatofighi
et al., CVPR 2019). Its score learns the overlap that its box has by then (quality focal loss, Li et al., NeurIPS
2020).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from service.detector.builtin.network import GRID

_RADIUS = 1.5 / GRID  # of the points around a centre that learn a box
_BOX_WEIGHT = 2.0


class Targets(NamedTuple):
    """positive: bool (n, points); boxes: (n, points, 4), of the good that a positive point learns."""

    positive: Tensor
    boxes: Tensor


class Losses(NamedTuple):
    """Scalars, and the mean overlap of positive points with their goods."""

    total: Tensor
    score: Tensor
    box: Tensor
    overlap: Tensor


def targets(points: Tensor, boxes: Tensor, counted: Tensor) -> Targets:
    """Points within 1.5 cells of a good's centre and inside its box, and the nearest; of several goods, the smallest.

    points: (p, 2); boxes: (n, goods, 4); counted: bool (n, goods).
    """
    low, high = boxes[..., None, :2], boxes[..., None, 2:]
    centres = (low + high) / 2
    away = (points - centres).abs().amax(-1)  # (n, goods, p)
    inside = ((points > low) & (points < high)).all(-1)
    nearest = away <= away.amin(-1, keepdim=True)
    learns = ((away < _RADIUS) & inside | nearest) & counted[..., None]
    area = ((high - low).prod(-1)).expand_as(away)
    smallest, good = torch.where(learns, area, torch.full_like(area, torch.inf)).min(1)
    return Targets(smallest < torch.inf, boxes.gather(1, good[..., None].expand(-1, -1, 4)))


def losses(logits: Tensor, boxes: Tensor, wanted: Targets) -> Losses:
    """The losses of a batch. logits: (n, p); boxes: (n, p, 4)."""
    positive = wanted.positive
    count = positive.sum().clamp(min=1)
    overlap, generalised = overlaps(boxes, wanted.boxes)
    weight = positive.float()
    box = ((1 - generalised) * weight).sum() / count
    quality = overlap.detach().clamp(0, 1) * weight
    each = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    score = (each * (quality - logits.sigmoid()).abs() ** 2).sum() / count
    return Losses(score + _BOX_WEIGHT * box, score.detach(), box.detach(), (overlap.detach() * weight).sum() / count)


def overlaps(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and its generalised form (-1..1), of boxes (..., 4) with as many others."""
    inner = (torch.minimum(boxes[..., 2:], others[..., 2:]) - torch.maximum(boxes[..., :2], others[..., :2])).clamp(
        min=0
    )
    outer = torch.maximum(boxes[..., 2:], others[..., 2:]) - torch.minimum(boxes[..., :2], others[..., :2])
    shared = inner.prod(-1)
    union = (boxes[..., 2:] - boxes[..., :2]).prod(-1) + (others[..., 2:] - others[..., :2]).prod(-1) - shared
    hull = outer.prod(-1).clamp(min=1e-9)
    iou = shared / union.clamp(min=1e-9)
    return iou, iou - (hull - union) / hull
