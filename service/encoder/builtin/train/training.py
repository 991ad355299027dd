"""A training that any network has: its average, the optimiser, how far it is, and a state from which it resumes."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)
A = TypeVar("A")


@dataclass(frozen=True)
class Schedule:
    """How a network learns, and until when.

    - `views`: how many it sees; `seconds`: an end that may come first, 0 for none; `warm_steps`: until the full rate.
    - `average`: how slowly the averaged weights, which are the result, follow.
    """

    views: int
    seconds: float
    learning_rate: float
    weight_decay: float
    average: float
    warm_steps: int


@dataclass(frozen=True)
class Work(Generic[A]):
    """The folder of the run, how often it saves, how many processes draw what amounts, and who is told how it goes."""

    folder: Path
    save_every: float
    processes: int
    amounts: A
    report: Callable[[str], None]

    @property
    def checkpoint(self) -> Path:
        """The state from which a later run goes on."""
        return self.folder / "checkpoint.pt"


class Training(Generic[N]):
    """The network, its average, the optimiser, and how far it is."""

    def __init__(self, network: N, schedule: Schedule, device: torch.device, recipe: str) -> None:
        """recipe: all that decides the outcome, as text; only a state with the same is gone on from."""
        self.schedule, self.device, self._recipe = schedule, device, recipe
        self.network: N = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: N = copy.deepcopy(self.network).requires_grad_(False)
        matrices = [p for p in self.network.parameters() if p.dim() > 1]
        others = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": schedule.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, schedule.learning_rate, betas=(0.9, 0.99))
        self.steps, self.views, self.seconds = 0, 0, 0.0

    @property
    def progress(self) -> float:
        """0 to 1."""
        by_time = self.seconds / self.schedule.seconds if self.schedule.seconds else 0.0
        return max(self.views / self.schedule.views, by_time)

    def autocast(self) -> torch.autocast:
        """Half precision where the device is a GPU."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def learn(self, loss: Tensor, views: int) -> None:
        """One step against a loss of so many views."""
        warm = min(1.0, (self.steps + 1) / self.schedule.warm_steps)
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.learning_rate * warm * falling + 1e-6
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self._average()
        self.steps, self.views = self.steps + 1, self.views + views

    def save(self, path: Path) -> None:
        """Writes all that a later run needs."""
        partial = path.with_suffix(".partial")
        parts = {"network": self.network, "average": self.average, "optimiser": self.optimiser}
        state = {name: part.state_dict() for name, part in parts.items()}
        done = {"steps": self.steps, "views": self.views, "seconds": self.seconds}
        torch.save({**state, **done, "recipe": self._recipe}, partial)
        os.replace(partial, path)

    def restore(self, path: Path) -> None:
        """Goes on from a saved state. Raises ValueError where that has another recipe."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"] != self._recipe:
            raise ValueError(f"{path} belongs to another recipe; remove it or choose another folder")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.views, self.seconds = state["steps"], state["views"], state["seconds"]

    @torch.no_grad()
    def _average(self) -> None:
        weight = 1 - min(self.schedule.average, (self.steps + 1) / (self.steps + 10))
        ours = [*self.average.parameters(), *_floats(self.average)]
        torch._foreach_lerp_(ours, [*self.network.parameters(), *_floats(self.network)], weight)


def _floats(network: nn.Module) -> list[Tensor]:
    return [b for b in network.buffers() if b.is_floating_point()]
