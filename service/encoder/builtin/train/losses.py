"""What the network learns: to tell things apart, to group families, and to recognise a material."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from service.encoder.builtin.train.plan import Plan

_SHARES = (0.13, 0.45, 0.42)  # of colour, instance and family in the joined vector


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, and `total`."""

    instance: Tensor
    family: Tensor
    colour: Tensor
    joined: Tensor
    spread: Tensor

    @property
    def total(self) -> Tensor:
        """The weighted sum."""
        return self.instance + 1.5 * self.family + 0.5 * self.colour + 0.5 * self.joined + 0.05 * self.spread


def losses(vectors: tuple[Tensor, Tensor, Tensor], plan: Plan, filtered: Tensor, *, exact: bool = False) -> Losses:
    """`vectors`: colour, instance and family, (3 g, d) each, not normalised. `filtered`: views through a random filter.

    `exact`: whether the instance output need not see through a filter.
    """
    colour, instance, family = (F.normalize(v.float(), dim=1) for v in vectors)
    things, families, materials = positives(plan, filtered, exact=exact)
    joined = torch.cat([s**0.5 * v for s, v in zip(_SHARES, (colour, instance, family), strict=True)], 1)
    itself = torch.eye(len(instance), dtype=torch.bool, device=instance.device)
    nearest = (instance @ instance.T).masked_fill(things | itself, -1).amax(1)
    return Losses(
        contrast(instance, things, 0.08), contrast(family, families, 0.1), contrast(colour, materials, 0.1),
        contrast(joined, things, 0.08), -torch.log((2 - 2 * nearest).clamp(min=1e-4).sqrt() + 1e-4).mean(),
    )  # fmt: skip


def contrast(vectors: Tensor, together: Tensor, temperature: float) -> Tensor:
    """Attracts what belongs together (supervised contrast: Khosla et al., NeurIPS 2020).

    `vectors`: (v, d) of length 1. `together`: bool (v, v), symmetric, false for a view and itself.
    """
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    likeness = (vectors @ vectors.T / temperature).masked_fill(itself, -1e4)
    log_share = likeness - likeness.logsumexp(1, keepdim=True)
    count = together.sum(1)
    per_view = -(log_share * together).sum(1) / count.clamp(min=1)
    return per_view.sum() / (count > 0).sum().clamp(min=1)


def positives(plan: Plan, filtered: Tensor, *, exact: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Which views show the same thing, the same family and the same material: three symmetric bool (v, v)."""
    groups = len(plan.kinds)
    group = torch.arange(groups, device=plan.kinds.device).repeat(3)
    view = torch.arange(3, device=plan.kinds.device).repeat_interleave(groups)
    kinds, scenes = plan.kinds.repeat(3), plan.scenes.repeat(3)
    related = view == 2
    things = _alike(group, ~related & ~(filtered & exact))
    families = _alike(group, ~(scenes & related)) | _alike(kinds, kinds >= 0)
    # The third view has the material of the group before; that of the first group is from another batch.
    material = torch.where(related, group - 1, group)
    scene_before = plan.scenes.roll(1).repeat(3)
    no_material = plan.recoloured | filtered | (related & (scenes | scene_before | (group == 0)))
    return things, families, _alike(material, ~no_material)


def _alike(labels: Tensor, valid: Tensor) -> Tensor:
    same = (labels[:, None] == labels[None]) & valid[:, None] & valid[None]
    return same.fill_diagonal_(False)
