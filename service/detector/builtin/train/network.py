"""The network as a PyTorch module, and its conversion to plain arrays."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.detector.builtin.network import (
    INNER,
    LARGEST_LOG,
    POINTS,
    REACH,
    STAGES,
    TOP,
    WIDTHS,
    DetectorWeights,
    points,
)
from service.encoder.builtin.network import Convolution
from service.encoder.builtin.train.network import Normed, Shortcut, folded_convolution


class Network(nn.Module):
    """RGB of 0 to 1, (n, 3, SIDE, SIDE), to logits (n, POINTS) and boxes (n, POINTS, 4) as fractions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Normed(3, WIDTHS[0], stride=2)
        self.downs = nn.ModuleList(Normed(a, b, stride=2) for a, b in itertools.pairwise(WIDTHS))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Shortcut(width, inner) for _ in range(count)))
            for width, inner, count in zip(WIDTHS[1:], INNER, STAGES, strict=True)
        )
        self.laterals = nn.ModuleList(Normed(width, TOP, 1) for width in WIDTHS[2:])
        self.smooth, self.head = Normed(TOP, TOP), Shortcut(TOP, 64)
        self.out = nn.Conv2d(TOP, 5, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        self.out.bias.data[0] = -4.0  # few points have a box
        self.register_buffer("points", torch.from_numpy(points()), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and boxes, float32. Boxes may reach beyond the picture."""
        value = F.relu(self.stem((x - 0.5) * 4))
        maps = []
        for down, stage in zip(self.downs, self.stages, strict=True):
            value = stage(F.relu(down(value)))
            maps.append(value)
        joined = self.laterals[2](maps[3])
        for lateral, lower in ((self.laterals[1], maps[2]), (self.laterals[0], maps[1])):
            joined = F.interpolate(joined, scale_factor=2, mode="nearest") + lateral(lower)
        found = self.out(self.head(F.relu(self.smooth(joined))))
        rows = found.permute(0, 2, 3, 1).reshape(len(x), POINTS, 5).float()
        reach = REACH * torch.exp(rows[..., 1:].clamp(-LARGEST_LOG, LARGEST_LOG))
        boxes = torch.cat([self.points - reach[..., :2], self.points + reach[..., 2:]], -1)
        return rows[..., 0], boxes


def folded(network: Network) -> DetectorWeights:
    """The weights, with all normalisations folded in."""
    layers = {"stem": network.stem, "smooth": network.smooth, "heada": network.head.a, "headb": network.head.b}
    for number, (down, stage) in enumerate(zip(network.downs, network.stages, strict=True)):
        layers[f"down{number}"] = down  # type: ignore[assignment]
        for place, shortcut in enumerate(stage):  # type: ignore[arg-type]
            layers |= {f"stage{number}_{place}a": shortcut.a, f"stage{number}_{place}b": shortcut.b}
    layers |= {f"lateral{number}": lateral for number, lateral in enumerate(network.laterals, 1)}
    convolutions = {name: folded_convolution(layer) for name, layer in layers.items()}
    kernel, bias = (p.detach().cpu().float().numpy() for p in (network.out.weight, network.out.bias))
    return DetectorWeights({**convolutions, "out": Convolution(kernel, bias)})
