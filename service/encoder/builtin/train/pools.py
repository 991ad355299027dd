"""Rings of drawn parts in the memory of the device. New parts replace the oldest."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from service.encoder.builtin.train.parts import CHANNELS, SIDE, Parts, arrays_of

_NOISES = 32  # of each number of cells


@dataclass(frozen=True)
class Capacity:
    """How many parts the rings hold; all at once take `(16 * couples + patterns + 3 * grounds + prints) * SIDE ** 2`
    bytes."""

    couples: int
    patterns: int
    grounds: int
    prints: int

    @classmethod
    def fitting(cls, device: torch.device) -> Capacity:
        """What a GPU of 40 GiB or a computer of 4 GiB has room for."""
        return cls(131_072, 200_000, 120_000, 80_000) if device.type == "cuda" else cls(2048, 2048, 1024, 1024)


class Pools:
    """shapes, patterns, grounds, prints and noises: uint8 (capacity, SIDE, SIDE[, channels]). `filled`: how many."""

    def __init__(self, capacity: Capacity, device: torch.device) -> None:
        side = (SIDE, SIDE)
        self.device = device
        self._rings = {
            "shapes": self._empty(2 * capacity.couples, *side, CHANNELS),
            "patterns": self._empty(capacity.patterns, *side),
            "grounds": self._empty(capacity.grounds, *side, 3),
            "prints": self._empty(capacity.prints, *side),
        }
        self.kinds = torch.full((capacity.couples,), -1, dtype=torch.long, device=device)
        self.noises = _noises(device)
        self.filled = dict.fromkeys(self._rings, 0)
        self._next = dict.fromkeys(self._rings, 0)
        self._lock = Lock()
        self._stream = torch.cuda.Stream() if device.type == "cuda" else None

    def ring(self, name: str) -> Tensor:
        """All places of a ring, filled or not."""
        return self._rings[name]

    def add(self, parts: Parts) -> None:
        """Copies drawn parts to the device."""
        arrays = {name: torch.from_numpy(array) for name, array in arrays_of(parts).items()}
        with self._lock, torch.cuda.stream(self._stream):  # shapes last: nothing is drawn from an empty ring
            for name in ("patterns", "grounds", "prints", "shapes"):
                start = self._put(name, arrays[name])
                if name == "shapes":
                    self.kinds[start // 2 : (start + len(arrays[name])) // 2].copy_(arrays["kinds"])
            if self._stream is not None:
                self._stream.synchronize()

    def add_grounds(self, pictures: Tensor) -> None:
        """Takes finished views, uint8 (n, SIDE, SIDE, 3), as grounds of others."""
        with self._lock:
            self._put("grounds", pictures)

    def _put(self, name: str, values: Tensor) -> int:
        ring, start = self._rings[name], self._next[name]
        if start + len(values) > len(ring):
            start = 0
        ring[start : start + len(values)].copy_(values, non_blocking=True)
        self._next[name] = start + len(values)
        self.filled[name] = max(self.filled[name], start + len(values))
        return start

    def _empty(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.uint8, device=self.device)


def _noises(device: torch.device) -> Tensor:
    cells = [2, 2, 3, 3, 3, 4, 4, 2] * 2 + np.random.default_rng(1).integers(2, 14, 64).tolist()
    made = []
    for number, count in enumerate(cells):
        noise = _smooth(count, device)
        if count < 7 and number >= 16:
            noise = noise + 0.5 * _smooth(4 * count, device) - 0.25
        made.append(noise.clamp(0, 1))
    return (torch.cat(made) * 255).to(torch.uint8)


def _smooth(cells: int, device: torch.device) -> Tensor:
    grid = torch.rand(_NOISES, 1, cells, cells, device=device)
    return F.interpolate(grid, size=(SIDE, SIDE), mode="bicubic", align_corners=False)[:, 0]
