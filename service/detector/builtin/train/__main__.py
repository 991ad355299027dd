"""Trains the detector: `make detector-train`. Needs PyTorch. Resumes.

python -m service.detector.builtin.train --work FOLDER                 the whole recipe: minutes on a GPU, days without
python -m service.detector.builtin.train --work FOLDER --scenes 64 --batch 8 --chunks 4 --least-things 64 --weights FILE
                                                                       a trial
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

# Before numpy and OpenCV are loaded: every process that draws has one core.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from service.detector.builtin.network import WEIGHTS  # noqa: E402
from service.detector.builtin.train.loop import Recipe, train  # noqa: E402
from service.detector.builtin.train.parts import Amounts  # noqa: E402
from service.encoder.builtin.train.training import Work  # noqa: E402
from service.runtime.clock import SYSTEM_CLOCK  # noqa: E402


def main(arguments: list[str]) -> int:
    """Trains and writes. Returns the exit code."""
    options = _options(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    recipe = replace(
        Recipe(), scenes=options.scenes, seconds=options.seconds, batch=options.batch, least_things=options.least_things
    )
    started = SYSTEM_CLOCK.elapsed_s()
    work = Work(
        options.work, options.save_every, options.processes, Amounts(options.chunks, options.things, options.grounds),
        lambda line: print(f"{SYSTEM_CLOCK.elapsed_s() - started:7.1f} s  {line}", flush=True),
    )  # fmt: skip
    try:
        found = train(recipe, work, options.stop_after)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if found is None:
        print(f"stopped after {options.stop_after} scenes; the same command without --stop-after goes on")
        return 0
    shutil.copyfile(found, options.weights)
    print(f"{options.weights}: {options.weights.stat().st_size} bytes; now run `make detector`")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of drawn parts, checkpoint and weights")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--scenes", type=int, default=Recipe.scenes, help="how many scenes it learns from")
    parser.add_argument("--seconds", type=float, default=Recipe.seconds, help="end after so many seconds of training")
    parser.add_argument("--batch", type=int, default=Recipe.batch, help="scenes in a step")
    parser.add_argument("--chunks", type=int, default=Amounts.chunks, help="how many files of things to draw")
    parser.add_argument("--things", type=int, default=Amounts.things, help="in each file")
    parser.add_argument("--grounds", type=int, default=Amounts.grounds, help="backgrounds in each file")
    parser.add_argument("--least-things", type=int, default=Recipe.least_things, help="drawn before the first step")
    parser.add_argument("--stop-after", type=int, default=0, help="stop after so many scenes; a later run goes on")
    parser.add_argument("--save-every", type=float, default=30, help="seconds between checkpoints")
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="that draw")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
