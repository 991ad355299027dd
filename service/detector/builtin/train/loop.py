"""The training: scenes are put together while the network learns from them. It saves its state and resumes from it."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from service.detector.builtin.train.losses import Losses, losses, targets
from service.detector.builtin.train.network import Network, folded
from service.detector.builtin.train.parts import Amounts, Drawing
from service.detector.builtin.train.scenes import Pools, Scenes, compose
from service.runtime.clock import SYSTEM_CLOCK

_REPORT_STEPS, _WARM_STEPS = 50, 200


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters; the defaults are those of the committed weights, which a clock ended at 1,395,200 scenes.

    - `scenes`: how many the network sees; `seconds`: an end that may come first, 0 for none.
    - `average`: how slowly the averaged weights, which are the result, follow.
    - `least_things`: that are drawn before the first step.
    """

    scenes: int = 1_400_000
    seconds: float = 0.0
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    average: float = 0.998
    least_things: int = 2560
    seed: int = 20261127


@dataclass(frozen=True)
class Work:
    """The folder of the run, how often it saves, how many processes draw, and who is told how it goes."""

    folder: Path
    save_every: float
    processes: int
    amounts: Amounts
    report: Callable[[str], None]

    @property
    def checkpoint(self) -> Path:
        """The state from which a later run goes on."""
        return self.folder / "checkpoint.pt"


class Training:
    """The network, its average, the optimiser, and how far it is."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.network = Network().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        matrices = [p for p in self.network.parameters() if p.dim() > 1]
        others = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, recipe.learning_rate, betas=(0.9, 0.99))
        self.steps, self.scenes, self.seconds = 0, 0, 0.0

    @property
    def progress(self) -> float:
        """0 to 1."""
        by_time = self.seconds / self.recipe.seconds if self.recipe.seconds else 0.0
        return max(self.scenes / self.recipe.scenes, by_time)

    def step(self, scenes: Scenes) -> Losses:
        """One step."""
        warm = min(1.0, (self.steps + 1) / _WARM_STEPS)
        rate = self.recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress))) + 1e-6
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        views = scenes.views.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits, boxes = self.network(views)
        found = losses(logits, boxes, targets(self.network.points, scenes.boxes, scenes.counted))
        self.optimiser.zero_grad(set_to_none=True)
        found.total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self._average()
        self.steps, self.scenes = self.steps + 1, self.scenes + len(views)
        return found

    def save(self, folder: Path, checkpoint: Path) -> Path:
        """Writes all that a later run needs, and the averaged weights; returns their file."""
        partial = checkpoint.with_suffix(".partial")
        parts = {"network": self.network, "average": self.average, "optimiser": self.optimiser}
        state = {name: part.state_dict() for name, part in parts.items()}
        done = {"steps": self.steps, "scenes": self.scenes, "seconds": self.seconds}
        torch.save({**state, **done, "recipe": repr(self.recipe)}, partial)
        os.replace(partial, checkpoint)
        weights = folder / "weights.npz"
        folded(self.average).save(weights)
        return weights

    def restore(self, path: Path) -> None:
        """Goes on from a saved state. Raises ValueError where that has another recipe."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"] != repr(self.recipe):
            raise ValueError(f"{path} belongs to another recipe; remove it or choose another folder")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.scenes, self.seconds = state["steps"], state["scenes"], state["seconds"]

    @torch.no_grad()
    def _average(self) -> None:
        weight = 1 - min(self.recipe.average, (self.steps + 1) / (self.steps + 10))
        ours = [*self.average.parameters(), *_floats(self.average)]
        torch._foreach_lerp_(ours, [*self.network.parameters(), *_floats(self.network)], weight)


def train(recipe: Recipe, work: Work, stop_after: int = 0) -> Path | None:
    """Trains, and goes on from the folder's checkpoint. Returns the file of the weights, or None where it stopped after
    `stop_after` scenes. Raises ValueError where the checkpoint has another recipe, and ArithmeticError where the loss
    is not finite."""
    drawing = Drawing(work.folder / "parts", work.processes, work.amounts)  # forks before there are other threads
    try:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        training, pools = Training(recipe, device), Pools(device)
        torch.backends.cudnn.benchmark = device.type == "cuda"
        if work.checkpoint.exists():
            training.restore(work.checkpoint)
        _wait_for_parts(pools, drawing, recipe)
        work.report(f"{len(pools.parts['layers'])} things drawn")
        weights = _learn(training, pools, drawing, work, stop_after or recipe.scenes)
        return weights if training.progress >= 1 else None
    finally:
        drawing.close()


def _learn(training: Training, pools: Pools, drawing: Drawing, work: Work, stop_after: int) -> Path:
    before, started = training.seconds, SYSTEM_CLOCK.elapsed_s()
    saved, reported = started, (started, training.scenes)
    while training.progress < 1 and training.scenes < stop_after:
        found = training.step(compose(pools, training.recipe.batch))
        now = SYSTEM_CLOCK.elapsed_s()
        training.seconds = before + now - started
        if training.steps % _REPORT_STEPS == 0:
            _take(pools, drawing)
            speed = (training.scenes - reported[1]) / max(now - reported[0], 1e-9)
            reported = (now, training.scenes)
            score, box, overlap = (float(v) for v in found[1:])
            if not math.isfinite(score + box):
                raise ArithmeticError(f"the loss is not finite after {training.steps} steps")
            work.report(
                f"step {training.steps}: {training.progress:.1%}, score {score:.3f}, box {box:.3f}, "
                f"overlap {overlap:.3f}, {speed:,.0f} scenes/s, {len(pools.parts['layers'])} things"
            )
        if now - saved > work.save_every:
            saved = now
            training.save(work.folder, work.checkpoint)
    return training.save(work.folder, work.checkpoint)


def _wait_for_parts(pools: Pools, drawing: Drawing, recipe: Recipe) -> None:
    drawn = 0
    while drawn < recipe.least_things and (chunk := drawing.take(wait=True)) is not None:
        pools.add(chunk)
        drawn += len(chunk["layers"])
    pools.join()


def _take(pools: Pools, drawing: Drawing) -> None:
    while (chunk := drawing.take(wait=False)) is not None:
        pools.add(chunk)
    pools.join()


def _floats(network: nn.Module) -> list[torch.Tensor]:
    return [b for b in network.buffers() if b.is_floating_point()]
