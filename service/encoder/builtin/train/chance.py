"""Random numbers and colours on a device, float32."""

from __future__ import annotations

import torch
from torch import Tensor


class Chance:
    """Draws on one device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Evenly between two numbers."""
        return torch.rand(*shape, device=self.device) * (high - low) + low

    def normal(self, deviation: float, *shape: int) -> Tensor:
        """Normally around 0."""
        return torch.randn(*shape, device=self.device) * deviation

    def spread(self, deviation: float, *shape: int) -> Tensor:
        """Factors around 1: the exponential of `normal`."""
        return torch.exp(self.normal(deviation, *shape))

    def often(self, share: float, *shape: int) -> Tensor:
        """True in this share of the cases."""
        return torch.rand(*shape, device=self.device) < share

    def sometimes(self, share: float, values: Tensor, otherwise: float = 0.0) -> Tensor:
        """`values` (n, ...) in this share of the rows, and a number in the others."""
        chosen = self.often(share, len(values)).view(-1, *[1] * (values.dim() - 1))
        return torch.where(chosen, values, torch.full_like(values, otherwise))

    def places(self, count: int, *shape: int) -> Tensor:
        """Whole numbers from 0 to count - 1."""
        return torch.randint(0, count, shape, device=self.device)

    def colours(self, count: int) -> Tensor:
        """(count, 3) with the distribution of real goods: a third near grey, few neon."""
        kind, level = torch.rand(count, device=self.device), self.places(3, count)
        dark, middle, light = (self.uniform(*span, count) for span in ((0.02, 0.2), (0.2, 0.8), (0.8, 1.0)))
        value = torch.where(level == 0, dark, torch.where(level == 1, middle, light))
        grey = (value[:, None] + self.normal(0.025, count, 3)).clamp(0, 1)
        saturation = torch.where(kind < 0.7, self.uniform(0.15, 0.6, count), self.uniform(0.55, 1, count))
        vivid = _rgb(torch.rand(count, device=self.device), saturation, self.uniform(0.2, 1, count))
        return torch.where((kind < 0.35)[:, None], grey, vivid)

    def palettes(self, count: int) -> Tensor:
        """(count, 9): three colours each, matching or not."""
        own = self.colours(3 * count).view(count, 3, 3)
        low, high = self.uniform(0.3, 0.9, count), self.uniform(1, 1.5, count)
        steps = torch.stack([low, (low + high) / 2, high], 1)[..., None]
        near = (self.colours(count)[:, None] * steps + self.normal(0.08, count, 3, 3)).clamp(0, 1)
        chosen = torch.where(self.often(0.5, count)[:, None, None], own, near)
        two = self.often(0.35, count)[:, None]
        chosen[:, 1] = torch.where(two, (chosen[:, 0] + chosen[:, 2]) / 2, chosen[:, 1])
        return chosen.view(count, 9)


def _rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    sectors = torch.stack([(5 + hue * 6) % 6, (3 + hue * 6) % 6, (1 + hue * 6) % 6], -1)
    return value[..., None] * (1 - saturation[..., None] * torch.minimum(sectors, 4 - sectors).clamp(0, 1))
