"""The training: pictures are drawn while the network learns from them. It saves its state and resumes from it."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from service.encoder.builtin.train.drawing import Drawing
from service.encoder.builtin.train.filters import filter_some
from service.encoder.builtin.train.losses import losses
from service.encoder.builtin.train.network import Network, folded
from service.encoder.builtin.train.parts import Amounts
from service.encoder.builtin.train.plan import Plan, Shares, draw_plan
from service.encoder.builtin.train.pools import Capacity, Pools
from service.encoder.builtin.train.renderer import Renderer, renderer_for
from service.runtime.clock import SYSTEM_CLOCK

_PLANS = 8  # batches whose parameters are drawn at once on a GPU
_RETURNED = 16  # finished views of every second step that become grounds
_REPORT_STEPS, _WARM_STEPS, _FRESH_BATCHES = 100, 300, 40


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters; the defaults are those of the committed weights.

    - `views`: how many views the network sees; `seconds`: an end that may come first, 0 for none.
    - `filtered`: the share of views through a random filter; `exact`: the instance output need not see through it.
    - `average`: how slowly the averaged weights, which are the result, follow.
    - `least_couples`: of shapes that are drawn before the first step.
    """

    views: int = 40_000_000
    seconds: float = 0.0
    groups: int = 1280
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.05
    average: float = 0.999
    filtered: float = 1 / 7
    exact: bool = False
    least_couples: int = 4096
    shares: Shares = field(default_factory=Shares)
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

    def snapshot(self, views: int) -> Path:
        """The averaged weights after so many views."""
        return self.folder / f"network-{views // 1000:06d}k.npz"


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
        self.steps, self.views, self.seconds = 0, 0, 0.0
        self.forward: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]] = self.network

    @property
    def progress(self) -> float:
        """0 to 1."""
        by_time = self.seconds / self.recipe.seconds if self.recipe.seconds else 0.0
        return max(self.views / self.recipe.views, by_time)

    def step(self, views: Tensor, plan: Plan, filtered: Tensor) -> float | None:
        """One step. Returns the loss now and then. Raises ArithmeticError where it is not finite."""
        warm = min(1.0, (self.steps + 1) / _WARM_STEPS)
        rate = self.recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress))) + 1e-6
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            vectors = self.forward(views)
        loss = losses(vectors, plan, filtered, exact=self.recipe.exact).total
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self._average()
        self.steps, self.views = self.steps + 1, self.views + len(views)
        if self.steps % _REPORT_STEPS and self.device.type == "cuda":
            return None
        value = float(loss.item())
        if not math.isfinite(value):
            raise ArithmeticError(f"the loss is not finite after {self.steps} steps")
        return value

    def save(self, path: Path) -> None:
        """Writes all that a later run needs."""
        partial = path.with_suffix(".partial")
        parts = {"network": self.network, "average": self.average, "optimiser": self.optimiser}
        state = {name: part.state_dict() for name, part in parts.items()}
        done = {"steps": self.steps, "views": self.views, "seconds": self.seconds}
        torch.save({**state, **done, "recipe": repr(self.recipe)}, partial)
        os.replace(partial, path)

    def restore(self, path: Path) -> None:
        """Goes on from a saved state. Raises ValueError where that has another recipe."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"] != repr(self.recipe):
            raise ValueError(f"{path} belongs to another recipe; remove it or choose another folder")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.views, self.seconds = state["steps"], state["views"], state["seconds"]

    @torch.no_grad()
    def _average(self) -> None:
        weight = 1 - min(self.recipe.average, (self.steps + 1) / (self.steps + 10))
        ours = [*self.average.parameters(), *_floats(self.average)]
        torch._foreach_lerp_(ours, [*self.network.parameters(), *_floats(self.network)], weight)


class Views:
    """Batches of rendered views, without end."""

    def __init__(self, pools: Pools, recipe: Recipe, renderer: Renderer) -> None:
        self._pools, self._recipe, self._renderer = pools, recipe, renderer
        self._plans: list[Plan] = []
        self._batch = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Plan, Tensor]]:
        return self

    @torch.no_grad()
    def __next__(self) -> tuple[Tensor, Plan, Tensor]:
        """Views (3 g, 3, SIDE, SIDE), their plan, and which of them went through a random filter."""
        on_gpu = self._pools.device.type == "cuda"
        if not self._plans:
            count = _PLANS if on_gpu else 1
            self._plans = draw_plan(self._pools, count * self._recipe.groups, self._recipe.shares).batches(count)
        plan = self._plans.pop()
        self._batch += 1
        seed = (self._batch * 2654435761 + self._recipe.seed) & 0x7FFFFFFF
        rendered = self._renderer(self._pools, plan, seed)
        views, filtered = filter_some(rendered if on_gpu else rendered.float(), self._recipe.filtered)
        if self._batch % 2 == 0:
            some = views[:: max(1, len(views) // _RETURNED)][:_RETURNED]
            self._pools.add_grounds((some.float().permute(0, 2, 3, 1) * 255).to(torch.uint8))
        return views.contiguous(memory_format=torch.channels_last), plan, filtered


def train(recipe: Recipe, work: Work, stop_after: int = 0) -> Path | None:
    """Trains, and goes on from the folder's checkpoint. Returns the file of the weights, or None where it stopped after
    `stop_after` views. Raises ValueError where the checkpoint has another recipe."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    holder: list[Pools] = []
    drawing = Drawing(lambda parts: holder[0].add(parts), work.processes, work.amounts, recipe.seed)
    try:
        holder.append(Pools(Capacity.fitting(device), device))
        training = Training(recipe, device)
        if work.checkpoint.exists():
            training.restore(work.checkpoint)
        drawing.start()
        views = Views(holder[0], recipe, renderer_for(device))
        _wait_for_parts(holder[0], recipe)
        work.report(f"drawn {holder[0].filled}")
        if device.type == "cuda":
            _compile(training, views, drawing, work)
        _learn(training, views, work, stop_after or recipe.views)
        if training.progress < 1:
            return None
        return _finished(training, views, work)
    finally:
        drawing.close()


def _learn(training: Training, views: Views, work: Work, stop_after: int) -> None:
    before, started = training.seconds, SYSTEM_CLOCK.elapsed_s()
    saved, reported = started, (started, training.views)
    while training.progress < 1 and training.views < stop_after:
        loss = training.step(*next(views))
        now = SYSTEM_CLOCK.elapsed_s()
        training.seconds = before + now - started
        if loss is not None:
            speed = (training.views - reported[1]) / max(now - reported[0], 1e-9)
            reported = (now, training.views)
            work.report(f"step {training.steps}: {training.progress:.1%}, loss {loss:.3f}, {speed:,.0f} views/s")
        if now - saved > work.save_every:
            saved = now
            _save(training, work)
    _save(training, work)


def _save(training: Training, work: Work) -> None:
    training.save(work.checkpoint)
    folded(training.average).save(work.snapshot(training.views))


@torch.no_grad()
def _finished(training: Training, views: Views, work: Work) -> Path:
    """Takes the normalisations of the averaged weights anew from fresh views, and writes the weights."""
    average = training.average
    for module in average.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # type: ignore[assignment]
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    average.train()
    for _ in range(_FRESH_BATCHES if training.device.type == "cuda" else 2):
        batch, _, _ = next(views)
        with torch.autocast(training.device.type, torch.bfloat16, enabled=training.device.type == "cuda"):
            average(batch)
    path = work.folder / "network.npz"
    folded(average.eval()).save(path)
    return path


def _compile(training: Training, views: Views, drawing: Drawing, work: Work) -> None:
    """Compiles the network for the GPU; drawing pauses, since it would take the processors."""
    drawing.pause()
    started = SYSTEM_CLOCK.elapsed_s()
    compiled = torch.compile(training.network, dynamic=False)
    batch, plan, filtered = next(views)
    with torch.autocast(training.device.type, torch.bfloat16):
        vectors = compiled(batch)
    losses(vectors, plan, filtered).total.backward()
    training.optimiser.zero_grad(set_to_none=True)
    training.forward = compiled
    drawing.resume()
    work.report(f"compiled in {SYSTEM_CLOCK.elapsed_s() - started:.0f} s")


def _wait_for_parts(pools: Pools, recipe: Recipe) -> None:
    while pools.filled["shapes"] < 2 * recipe.least_couples:
        time.sleep(0.05)


def _floats(network: nn.Module) -> list[Tensor]:
    return [b for b in network.buffers() if b.is_floating_point()]
