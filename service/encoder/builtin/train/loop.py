"""The training: pictures are drawn while the network learns from them. It saves its state and resumes from it."""

from __future__ import annotations

import math
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
from service.encoder.builtin.train.training import Schedule, Training, Work
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

    @property
    def schedule(self) -> Schedule:
        """What any network needs of it."""
        return Schedule(
            self.views, self.seconds, self.learning_rate, self.weight_decay, self.average, warm_steps=_WARM_STEPS
        )


class EncoderTraining(Training[Network]):
    """The network with its losses."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        super().__init__(Network(), recipe.schedule, device, repr(recipe))
        self._exact = recipe.exact
        self.forward: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]] = self.network

    def step(self, views: Tensor, plan: Plan, filtered: Tensor) -> float | None:
        """One step. Returns the loss now and then. Raises ArithmeticError where it is not finite."""
        with self.autocast():
            vectors = self.forward(views)
        loss = losses(vectors, plan, filtered, exact=self._exact).total
        self.learn(loss, len(views))
        if self.steps % _REPORT_STEPS and self.device.type == "cuda":
            return None
        value = float(loss.item())
        if not math.isfinite(value):
            raise ArithmeticError(f"the loss is not finite after {self.steps} steps")
        return value


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


def train(recipe: Recipe, work: Work[Amounts], stop_after: int = 0) -> Path | None:
    """Trains, and goes on from the folder's checkpoint. Returns the file of the weights, or None where it stopped after
    `stop_after` views. Raises ValueError where the checkpoint has another recipe."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    holder: list[Pools] = []
    drawing = Drawing(lambda parts: holder[0].add(parts), work.processes, work.amounts, recipe.seed)
    try:
        holder.append(Pools(Capacity.fitting(device), device))
        training = EncoderTraining(recipe, device)
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


def _learn(training: EncoderTraining, views: Views, work: Work[Amounts], stop_after: int) -> None:
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


def _save(training: EncoderTraining, work: Work[Amounts]) -> None:
    training.save(work.checkpoint)
    folded(training.average).save(work.folder / f"network-{training.views // 1000:06d}k.npz")


@torch.no_grad()
def _finished(training: EncoderTraining, views: Views, work: Work[Amounts]) -> Path:
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
        with training.autocast():
            average(batch)
    path = work.folder / "network.npz"
    folded(average.eval()).save(path)
    return path


def _compile(training: EncoderTraining, views: Views, drawing: Drawing, work: Work[Amounts]) -> None:
    """Compiles the network for the GPU; drawing pauses, since it would take the processors."""
    drawing.pause()
    started = SYSTEM_CLOCK.elapsed_s()
    compiled = torch.compile(training.network, dynamic=False)
    batch, plan, filtered = next(views)
    with training.autocast():
        vectors = compiled(batch)
    losses(vectors, plan, filtered).total.backward()
    training.optimiser.zero_grad(set_to_none=True)
    training.forward = compiled
    drawing.resume()
    work.report(f"compiled in {SYSTEM_CLOCK.elapsed_s() - started:.0f} s")


def _wait_for_parts(pools: Pools, recipe: Recipe) -> None:
    while pools.filled["shapes"] < 2 * recipe.least_couples:
        time.sleep(0.05)
