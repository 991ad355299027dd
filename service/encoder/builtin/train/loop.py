"""The training loop, with a checkpoint after every epoch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from service.encoder.builtin.train.maps import MapPairs
from service.encoder.builtin.train.network import Head, family_loss, instance_loss
from service.encoder.builtin.train.reduction import Reduction


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters."""

    channels: int = 128
    dimension: int = 128
    epochs: int = 24
    objects_per_step: int = 384
    families_per_step: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    temperature: float = 0.1
    family_weight: float = 1.5
    covered: float = 0.3  # share of the steps in which half of the pictures have a covered window
    seed: int = 0


@dataclass(frozen=True)
class Training:
    """Pairs of objects and scenes, pairs of families, the reduction of their maps, and the recipe."""

    objects: MapPairs
    families: MapPairs
    reduction: Reduction
    recipe: Recipe


def train(training: Training, checkpoint: Path, stop_after: int, bar: Progress) -> Head | None:
    """Trains on the GPU if there is one, and resumes from the checkpoint. Returns None if it stopped early."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe = training.recipe
    torch.manual_seed(recipe.seed)
    head = Head(recipe.channels, recipe.dimension).to(device)
    optimiser = torch.optim.AdamW(head.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    per_epoch = max(1, len(training.objects.kinds) // recipe.objects_per_step)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.epochs * per_epoch + 1, pct_start=0.15
    )
    parts = {"head": head, "optimiser": optimiser, "schedule": schedule}
    done = _restored(checkpoint, parts, recipe)
    task = bar.add_task(f"training on {device}", total=recipe.epochs * per_epoch, completed=done * per_epoch)
    batches = Batches(training, device)
    for epoch in range(done, min(stop_after, recipe.epochs)):
        losses = []
        head.train()
        for fine, coarse, kinds in batches.epoch(epoch, per_epoch):
            loss = _loss(F.normalize(head(fine, coarse), dim=1), kinds, recipe)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
            bar.advance(task)
        bar.console.print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}")
        _keep(checkpoint, parts, recipe, epoch + 1)
    return head if stop_after >= recipe.epochs else None


class Batches:
    """Random batches on a device: object pairs, then family pairs; mirrored and covered at random."""

    def __init__(self, training: Training, device: torch.device) -> None:
        self._objects, self._families, self._recipe = training.objects, training.families, training.recipe
        self._device = device
        parts = (training.reduction.fine, training.reduction.coarse)
        self._parities = [torch.tensor(c.parity, device=device)[:, None, None] for c in parts]

    def epoch(self, epoch: int, steps: int):  # type: ignore[no-untyped-def]
        """Yields (fine, coarse, kinds of the family pairs); rows: first objects, second ones, first family members,
        second ones."""
        recipe = self._recipe
        rng = np.random.default_rng([recipe.seed, epoch])
        order = rng.permutation(len(self._objects.kinds))
        for step in range(steps):
            objects = np.sort(order[step * recipe.objects_per_step : (step + 1) * recipe.objects_per_step])
            families = np.sort(rng.integers(0, len(self._families.kinds), recipe.families_per_step))
            maps = [self._rows(name, objects, families) for name in ("fine", "coarse")]
            if rng.random() < 0.5:
                maps = [(m * p).flip(-1) for m, p in zip(maps, self._parities, strict=True)]
            if rng.random() < recipe.covered:
                self._cover(rng, maps)
            yield *maps, torch.from_numpy(self._families.kinds[families]).to(self._device)

    def _rows(self, name: str, objects: np.ndarray, families: np.ndarray) -> Tensor:  # type: ignore[type-arg]
        chosen = [getattr(self._objects, name)[objects], getattr(self._families, name)[families]]
        stacked = np.concatenate([np.concatenate([c[:, 0], c[:, 1]]) for c in chosen])
        return torch.from_numpy(stacked).to(self._device).float()

    @staticmethod
    def _cover(rng: np.random.Generator, maps: list[Tensor]) -> None:
        some = torch.from_numpy(rng.random(len(maps[0])) < 0.5).to(maps[0].device)
        y, x = rng.integers(0, 5, 2)
        for values, scale in zip(maps, (2, 1), strict=True):
            values[some, :, scale * y : scale * (y + 2), scale * x : scale * (x + 2)] = 0


def _loss(vectors: Tensor, kinds: Tensor, recipe: Recipe) -> Tensor:
    count = len(vectors) - 2 * len(kinds)
    first, second = vectors[: count // 2], vectors[count // 2 : count]
    own = instance_loss(first, second, recipe.temperature)
    return own + recipe.family_weight * family_loss(vectors[count:], kinds, recipe.temperature)


def _restored(checkpoint: Path, parts: dict, recipe: Recipe) -> int:  # type: ignore[type-arg]
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    if state["recipe"] != repr(recipe):
        raise SystemExit(f"{checkpoint} belongs to another recipe; remove it or choose another --work")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epochs"])


def _keep(checkpoint: Path, parts: dict, recipe: Recipe, epochs: int) -> None:  # type: ignore[type-arg]
    state = {name: part.state_dict() for name, part in parts.items()}
    partial = checkpoint.with_suffix(".partial")
    torch.save({**state, "recipe": repr(recipe), "epochs": epochs}, partial)
    os.replace(partial, checkpoint)
