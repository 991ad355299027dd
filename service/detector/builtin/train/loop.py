"""The training: scenes are put together while the network learns from them. It saves its state and resumes from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from service.detector.builtin.train.losses import Losses, losses, targets
from service.detector.builtin.train.network import Network, folded
from service.detector.builtin.train.parts import Amounts, Drawing
from service.detector.builtin.train.scenes import Pools, Scenes, compose
from service.encoder.builtin.train.training import Schedule, Training, Work
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

    @property
    def schedule(self) -> Schedule:
        """What any network needs of it."""
        return Schedule(
            self.scenes, self.seconds, self.learning_rate, self.weight_decay, self.average, warm_steps=_WARM_STEPS
        )


class DetectorTraining(Training[Network]):
    """The network with its losses. Its views are scenes."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        super().__init__(Network(), recipe.schedule, device, repr(recipe))

    def step(self, scenes: Scenes) -> Losses:
        """One step."""
        views = scenes.views.contiguous(memory_format=torch.channels_last)
        with self.autocast():
            logits, boxes = self.network(views)
        found = losses(logits, boxes, targets(self.network.points, scenes.boxes, scenes.counted))
        self.learn(found.total, len(views))
        return found


def train(recipe: Recipe, work: Work[Amounts], stop_after: int = 0) -> Path | None:
    """Trains, and goes on from the folder's checkpoint. Returns the file of the weights, or None where it stopped after
    `stop_after` scenes. Raises ValueError where the checkpoint has another recipe, and ArithmeticError where the loss
    is not finite."""
    drawing = Drawing(work.folder / "parts", work.processes, work.amounts)  # forks before there are other threads
    try:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        training, pools = DetectorTraining(recipe, device), Pools(device)
        torch.backends.cudnn.benchmark = device.type == "cuda"
        if work.checkpoint.exists():
            training.restore(work.checkpoint)
        _wait_for_parts(pools, drawing, recipe)
        work.report(f"{len(pools.parts['layers'])} things drawn")
        weights = _learn(training, pools, recipe.batch, drawing, work, stop_after or recipe.scenes)
        return weights if training.progress >= 1 else None
    finally:
        drawing.close()


def _learn(
    training: DetectorTraining, pools: Pools, batch: int, drawing: Drawing, work: Work[Amounts], stop_after: int
) -> Path:
    before, started = training.seconds, SYSTEM_CLOCK.elapsed_s()
    saved, reported = started, (started, training.views)
    while training.progress < 1 and training.views < stop_after:
        found = training.step(compose(pools, batch))
        now = SYSTEM_CLOCK.elapsed_s()
        training.seconds = before + now - started
        if training.steps % _REPORT_STEPS == 0:
            _take(pools, drawing)
            speed = (training.views - reported[1]) / max(now - reported[0], 1e-9)
            reported = (now, training.views)
            score, box, overlap = (float(v) for v in found[1:])
            if not math.isfinite(score + box):
                raise ArithmeticError(f"the loss is not finite after {training.steps} steps")
            work.report(
                f"step {training.steps}: {training.progress:.1%}, score {score:.3f}, box {box:.3f}, "
                f"overlap {overlap:.3f}, {speed:,.0f} scenes/s, {len(pools.parts['layers'])} things"
            )
        if now - saved > work.save_every:
            saved = now
            _save(training, work)
    return _save(training, work)


def _save(training: DetectorTraining, work: Work[Amounts]) -> Path:
    """Writes the state, and the averaged weights; returns their file."""
    training.save(work.checkpoint)
    weights = work.folder / "weights.npz"
    folded(training.average).save(weights)
    return weights


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
