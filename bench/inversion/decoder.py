"""A decoder: from vectors back to pictures. Needs PyTorch.

Two hidden layers give the coefficients of the principal components of pictures, and three convolutions then sharpen the
picture. In pixels the error of the coefficients is that of the picture, so that most steps need no pixels. All is
trained on the attacker's own pictures; a tenth of them decides which state is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

SIDE = 48  # of decoded pictures
_HIDDEN, _CHANNELS = 1024, 24
_BATCH, _RATE, _DROPOUT, _DECAY = 128, 1e-3, 0.1, 1e-2
_SHARPEN_RATE = 5e-4
_ASIDE = 0.1
_SEED = 4
Pictures = NDArray[np.uint8]  # (n, SIDE, SIDE, 3) RGB
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Training:
    """How long a decoder is trained: `epochs` on coefficients, then `sharpened` on pixels. `components`: at most."""

    epochs: int = 30
    sharpened: int = 2
    components: int = 384


@dataclass(frozen=True)
class Components:
    """Principal components of pictures as rows of channels first. mean: (3, SIDE, SIDE). axes: (p, count). deviation:
    of all coefficients."""

    mean: Any
    axes: Any
    deviation: float


@dataclass(frozen=True)
class Decoder:
    """A trained decoder. `dimension`: of its features."""

    base: Any
    sharpen: Any
    components: Components

    def __call__(self, features: Floats) -> Pictures:
        """Pictures of features, shape (n, d), as `train` got them."""
        with torch.no_grad():
            self.base.eval()
            parts = [self.picture(part) for part in torch.from_numpy(features).split(256)]
        made = torch.cat(parts).clamp(0, 1).mul(255).round().to(torch.uint8)
        return np.ascontiguousarray(made.permute(0, 2, 3, 1).numpy())

    def picture(self, features: Any) -> Any:
        """Tensors of shape (n, 3, SIDE, SIDE), RGB from 0 to 1, perhaps beyond."""
        flat = self.base(features) @ self.components.axes.T * self.components.deviation
        plain = flat.view(-1, 3, SIDE, SIDE) + self.components.mean
        return plain + self.sharpen(plain)


def components_of(pictures: Pictures, count: int) -> Components:
    """The first principal components of pictures; fewer where there are fewer pictures."""
    torch.manual_seed(_SEED)
    values = _tensor(pictures)
    mean = values.mean(dim=0)
    flat = (values - mean).flatten(1)
    _, _, axes = torch.svd_lowrank(flat, q=min(count, *flat.shape), niter=2)
    return Components(mean, axes, float((flat @ axes).std()))


def train(
    features: Floats, pictures: Pictures, components: Components, training: Training, done: Callable[[], None]
) -> Decoder:
    """A decoder of features, shape (n, d). Calls `done` after each epoch."""
    torch.manual_seed(_SEED)
    torch.set_num_threads(1)
    inputs, pixels = torch.from_numpy(features), _tensor(pictures)
    coefficients = (pixels - components.mean).flatten(1) @ components.axes / components.deviation
    known = len(inputs) - max(1, int(_ASIDE * len(inputs)))
    decoder = Decoder(_base(inputs, coefficients.shape[1]), _sharpen(), components)
    _fit(decoder.base, decoder.base, inputs, coefficients, known, training.epochs, _RATE, done)
    both = nn.ModuleList([decoder.base, decoder.sharpen])
    _fit(both, decoder.picture, inputs, pixels, known, training.sharpened, _SHARPEN_RATE, done)
    return decoder


def _base(inputs: Any, outputs: int) -> Any:
    """Scales features by their own mean and deviation, then the hidden layers."""
    scale = nn.Linear(inputs.shape[1], inputs.shape[1])
    deviation = inputs.std() + 1e-6
    with torch.no_grad():
        scale.weight.copy_(torch.eye(inputs.shape[1]) / deviation)
        scale.bias.copy_(-inputs.mean(dim=0) / deviation)
    scale.requires_grad_(False)
    layers: list[Any] = [scale]
    for size in (inputs.shape[1], _HIDDEN):
        layers += [nn.Linear(size, _HIDDEN), nn.GELU(), nn.Dropout(_DROPOUT)]
    return nn.Sequential(*layers, nn.Linear(_HIDDEN, outputs))


def _sharpen() -> Any:
    """What is added to a picture; nothing before it is trained."""
    last = nn.Conv2d(_CHANNELS, 12, 3, padding=1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    first, second = nn.Conv2d(12, _CHANNELS, 3, padding=1), nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1)
    return nn.Sequential(nn.PixelUnshuffle(2), first, nn.GELU(), second, nn.GELU(), last, nn.PixelShuffle(2))


def _fit(
    module: Any, predict: Callable[[Any], Any], inputs: Any, wanted: Any, known: int, epochs: int, rate: float,
    done: Callable[[], None],
) -> None:  # fmt: skip
    """Trains on the first `known` rows. Leaves the state that is best for the others."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs))
    best, state = _error(module, predict, inputs[known:], wanted[known:]), _copied(module)
    for _ in range(epochs):
        module.train()
        for rows in _batches(known):
            optimizer.zero_grad()
            loss = (predict(inputs[rows]) - wanted[rows]).square().mean()
            loss.backward()
            optimizer.step()
        schedule.step()
        found = _error(module, predict, inputs[known:], wanted[known:])
        if found < best:
            best, state = found, _copied(module)
        done()
    module.load_state_dict(state)


def _batches(count: int) -> Iterator[Any]:
    yield from torch.randperm(count).split(_BATCH)


def _error(module: Any, predict: Callable[[Any], Any], inputs: Any, wanted: Any) -> float:
    module.eval()
    with torch.no_grad():
        return float((predict(inputs) - wanted).square().mean())


def _copied(module: Any) -> dict[str, Any]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _tensor(pictures: Pictures) -> Any:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(255).contiguous()
