"""The network as a PyTorch module, and its conversion to plain arrays.

While learning it has three outputs: colour, instance and family. Only the family output and the maps are kept.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from service.encoder.builtin.network import STAGES, Convolution, NetworkWeights

WIDTHS, INNER = (24, 64, 128, 256), (32, 64, 128)
NECK = 160
COLOUR, INSTANCE, FAMILY = 64, 192, 128
Array = NDArray[np.float32]


class Normed(nn.Sequential):
    """A convolution and its normalisation."""

    def __init__(self, before: int, after: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after))


class Shortcut(nn.Module):
    """x plus two convolutions, narrower between them. Begins as x."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.a, self.b = Normed(width, inner), Normed(inner, width)
        nn.init.zeros_(self.b[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w), and the same again."""
        return F.relu(x + self.b(F.relu(self.a(x))))


class Network(nn.Module):
    """RGB of 0 to 1, (n, 3, 112, 112), to three vectors that are not normalised."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.stem = Normed(3, WIDTHS[0], stride=2)
        self.downs = nn.ModuleList(Normed(a, b, stride=2) for a, b in itertools.pairwise(WIDTHS))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Shortcut(width, inner) for _ in range(count)))
            for width, inner, count in zip(WIDTHS[1:], INNER, STAGES, strict=True)
        )
        self.neck = Normed(WIDTHS[3], NECK, 1)
        pooled = 14 * NECK + WIDTHS[3] + 5 * WIDTHS[2]
        self.norm, self.dropout = nn.BatchNorm1d(pooled), nn.Dropout(dropout)
        self.instance, self.family = nn.Linear(pooled, INSTANCE), nn.Linear(pooled, FAMILY)
        low = 2 * (WIDTHS[0] + WIDTHS[1]) + WIDTHS[2] + 5 * NECK
        self.low_norm, self.colour = nn.BatchNorm1d(low), nn.Linear(low, COLOUR)

    def pooled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the instance and the family output see, and what the colour output sees."""
        first = F.relu(self.stem((x - 0.5) * 4))
        maps = [first]
        for down, stage in zip(self.downs, self.stages, strict=True):
            maps.append(stage(F.relu(down(maps[-1]))))
        _, second, middle, last = maps
        neck = F.relu(self.neck(last))
        halves = F.avg_pool2d(neck, 4, 3).flatten(1)
        whole = _mean(neck), halves, F.avg_pool2d(neck, 3, 2).flatten(1)
        high = torch.cat([*whole, _mean(last), F.avg_pool2d(middle, 8, 6).flatten(1), _mean(middle)], 1)
        low = [_mean(first), _deviation(first), _mean(second), _deviation(second), _mean(middle), _mean(neck), halves]
        return high, torch.cat(low, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Colour, instance and family."""
        high, low = self.pooled(x)
        seen = self.dropout(self.norm(high.float()))
        return self.colour(self.low_norm(low.float())), self.instance(seen), self.family(seen)


def folded(network: Network) -> NetworkWeights:
    """What is kept of a network, with all normalisations folded in."""
    layers = {"stem": network.stem, "neck": network.neck}
    for number, (down, stage) in enumerate(zip(network.downs, network.stages, strict=True), 1):
        layers[f"down{number}"] = down  # type: ignore[assignment]
        for place, shortcut in enumerate(stage):  # type: ignore[arg-type]
            layers |= {f"stage{number}_{place}a": shortcut.a, f"stage{number}_{place}b": shortcut.b}
    gain, shift = _affine(network.norm)
    matrix = _array(network.family.weight)
    bias = _array(network.family.bias) + matrix @ shift
    return NetworkWeights(
        {name: folded_convolution(layer) for name, layer in layers.items()},
        np.ascontiguousarray((matrix * gain).T),
        bias,
    )


def folded_convolution(layer: Normed) -> Convolution:
    """A convolution with its normalisation folded in."""
    convolution, norm = layer
    gain, shift = _affine(norm)  # type: ignore[arg-type]
    return Convolution(_array(convolution.weight) * gain[:, None, None, None], shift)  # type: ignore[arg-type]


def _affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Array, Array]:
    """A normalisation in evaluation mode as scale and shift."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + np.float32(norm.eps))
    return gain, _array(norm.bias) - gain * _array(norm.running_mean)


def _mean(maps: Tensor) -> Tensor:
    return maps.mean((2, 3))


def _deviation(maps: Tensor) -> Tensor:
    return maps.float().var((2, 3)).add(1e-6).sqrt().to(maps.dtype)


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().float().numpy()
