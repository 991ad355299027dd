"""Trains the network: `make encoder-train`. Needs PyTorch, and a C compiler where there is no GPU. Resumes.

python -m service.encoder.builtin.train --work FOLDER             the whole recipe: minutes on a GPU, days without
python -m service.encoder.builtin.train --work FOLDER --views 3000 --groups 20 --least-couples 32 --network FILE
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

from service.encoder.builtin.train.loop import Recipe, train  # noqa: E402
from service.encoder.builtin.train.parts import Amounts  # noqa: E402
from service.encoder.builtin.train.training import Work  # noqa: E402
from service.encoder.builtin.weights import NETWORK  # noqa: E402
from service.runtime.clock import SYSTEM_CLOCK  # noqa: E402


def main(arguments: list[str]) -> int:
    """Trains and writes. Returns the exit code."""
    options = _options(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    recipe = replace(
        Recipe(), views=options.views, seconds=options.seconds, groups=options.groups,
        least_couples=options.least_couples,
    )  # fmt: skip
    started = SYSTEM_CLOCK.elapsed_s()
    work = Work(
        options.work, options.save_every, options.processes, Amounts(couples=options.couples),
        lambda line: print(f"{SYSTEM_CLOCK.elapsed_s() - started:7.1f} s  {line}", flush=True),
    )  # fmt: skip
    try:
        found = train(recipe, work, options.stop_after)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if found is None:
        print(f"stopped after {options.stop_after} views; the same command without --stop-after goes on")
        return 0
    shutil.copyfile(found, options.network)
    print(f"{options.network}: {options.network.stat().st_size} bytes; now run `make encoder`")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint and of weights on the way")
    parser.add_argument("--network", type=Path, default=NETWORK, help="where the weights go")
    parser.add_argument("--views", type=int, default=Recipe.views, help="how many views it learns from")
    parser.add_argument("--seconds", type=float, default=Recipe.seconds, help="end after so many seconds of training")
    parser.add_argument("--groups", type=int, default=Recipe.groups, help="groups of three views in a step")
    parser.add_argument("--least-couples", type=int, default=Recipe.least_couples, help="drawn before the first step")
    parser.add_argument("--couples", type=int, default=Amounts.couples, help="couples of shapes in a chunk")
    parser.add_argument("--stop-after", type=int, default=0, help="stop after so many views; a later run goes on")
    parser.add_argument("--save-every", type=float, default=30, help="seconds between checkpoints")
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="that draw")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
