"""Trains the head: `make encoder-train`. Needs PyTorch, and uses a GPU if there is one. Resumes an interrupted run.

python -m service.encoder.builtin.train --work FOLDER                    the whole recipe
python -m service.encoder.builtin.train --work FOLDER --pairs 1000 --epochs 2 --head FILE   a small trial
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from service.encoder.builtin.generator.pairs import Relation
from service.encoder.builtin.train import reduction as reductions
from service.encoder.builtin.train.loop import Recipe, Training, train
from service.encoder.builtin.train.maps import MapPairs, raw_maps, read_shards, write_shards
from service.encoder.builtin.train.network import folded
from service.encoder.builtin.weights import HEAD

_FIRST_SAMPLE = 1 << 40  # first pair number for fitting the reduction; these are not used for training


def main(arguments: list[str]) -> int:
    """Draws, trains and writes. Returns the exit code."""
    options = _options(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    recipe = Recipe(
        epochs=options.epochs, channels=options.channels, objects_per_step=options.objects_per_step,
        families_per_step=options.families_per_step,
    )  # fmt: skip
    with Progress(*columns) as bar:
        reduction = _reduction(options.work, options.sample, bar)
        wanted: dict[Relation, int] = {
            "object": options.pairs, "family": options.pairs, "scene": options.pairs // 10,
        }  # fmt: skip
        drawn = {name: _maps(options.work, name, count, reduction, bar) for name, count in wanted.items()}
        training = Training(_joined(drawn["object"], drawn["scene"]), drawn["family"], reduction, recipe)
        head = train(training, options.work / "checkpoint.pt", options.stop_after or recipe.epochs, bar)
    if head is None:
        print(f"stopped after epoch {options.stop_after} of {recipe.epochs}; the same command without it goes on")
        return 0
    folded(head, reduction).save(options.head)
    print(f"{options.head}: {options.head.stat().st_size} bytes; now run `make encoder-assemble`")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for maps and a checkpoint, 75 KB per pair")
    parser.add_argument("--head", type=Path, default=HEAD, help="where the weights go")
    parser.add_argument("--pairs", type=int, default=16_000, help="pairs of objects, and as many of families")
    parser.add_argument("--sample", type=int, default=600, help="pairs that the reduction is fitted on")
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    parser.add_argument("--stop-after", type=int, default=0, help="stop after this epoch; a later run goes on")
    parser.add_argument("--channels", type=int, default=Recipe.channels)
    parser.add_argument("--objects-per-step", type=int, default=Recipe.objects_per_step)
    parser.add_argument("--families-per-step", type=int, default=Recipe.families_per_step)
    return parser.parse_args(arguments)


def _reduction(work: Path, sample: int, bar: Progress) -> reductions.Reduction:
    path = work / "reduction.npz"
    if not path.exists():
        task = bar.add_task("fitting the reduction", total=3)
        parts = []
        for relation, count in (("object", sample), ("family", sample * 2 // 3), ("scene", sample // 3)):
            parts.append(raw_maps(relation, _FIRST_SAMPLE, count)[:2])  # type: ignore[arg-type]
            bar.advance(task)
        reductions.fit(*(np.concatenate([p[i] for p in parts]) for i in (0, 1))).save(path)
    return reductions.Reduction.load(path)


def _maps(work: Path, relation: Relation, count: int, reduction: reductions.Reduction, bar: Progress) -> MapPairs:
    task = bar.add_task(f"drawing pairs: {relation}", total=count)
    for done in write_shards(work, relation, count, reduction):
        bar.advance(task, done)
    return read_shards(work, relation, count)


def _joined(first: MapPairs, second: MapPairs) -> MapPairs:
    return MapPairs(*(np.concatenate([getattr(p, n) for p in (first, second)]) for n in ("fine", "coarse", "kinds")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
