"""How a model runs best on this machine: one run over all cores, or one run per core, and how many pictures in each.

Measured when the model is loaded, in a fraction of a second. For small models one single-threaded run per core does
half as much again as one run over all cores; for large ones, and on other machines, it may be the other way round.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from service.encoder.contract import Encoder
from service.runtime.clock import Stopwatch

_LOG = logging.getLogger(__name__)
_LARGEST_BATCH = 16
_WORTH = 1.05  # a larger batch must do so much better, since each picture in it waits longer
_ROUNDS = 3


@dataclass(frozen=True)
class Hardware:
    """cores: that models may use. provider: of ONNX Runtime. threads: cores of one run, 0 to measure. batch: pictures
    in one run at most, 0 to measure."""

    cores: int
    provider: str = "cpu"
    threads: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Execution:
    """threads: cores of one run. runs: at a time. batch: pictures in one run at most. pictures_per_second: as measured,
    0 where it was not."""

    threads: int
    runs: int
    batch: int
    pictures_per_second: float = 0.0


@dataclass(frozen=True)
class LoadedEncoder:
    """A model in memory, and how it is run."""

    encoder: Encoder
    execution: Execution


def load_encoder(load: Callable[[int], Encoder], hardware: Hardware) -> LoadedEncoder:
    """Loads a model with the number of threads that does most; `load` takes that number. Raises what `load` raises."""
    counts = (
        [min(hardware.threads, hardware.cores)]
        if hardware.threads
        else thread_counts(hardware.cores, hardware.provider)
    )
    tried = [_best(load(threads), threads, hardware) for threads in counts]
    found = max(tried, key=lambda t: t.execution.pictures_per_second)
    _LOG.info("encoder %s: execution %s", found.encoder.manifest.id, found.execution)
    return found


def thread_counts(cores: int, provider: str) -> list[int]:
    """The numbers of threads per run that are worth comparing."""
    return [cores] if provider != "cpu" or cores == 1 else [1, cores]


def runs_at_a_time(cores: int, threads: int, provider: str) -> int:
    """How many runs of so many threads fill the cores; an accelerator does one after the other."""
    return max(1, cores // threads) if provider == "cpu" else 1


def pictures_per_second(encoder: Encoder, batch: int, runs: int, rounds: int = _ROUNDS) -> float:
    """The best of a few rounds, in each of which every one of `runs` threads runs twice."""
    inputs, modality = encoder.trial(batch), min(encoder.modalities)
    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(encoder.encode, [inputs] * runs, [modality] * runs))
        return max(_timed(pool, encoder, [inputs] * (2 * runs)) for _ in range(rounds))


def _timed(pool: ThreadPoolExecutor, encoder: Encoder, batches: list) -> float:  # type: ignore[type-arg]
    watch, modality = Stopwatch(), min(encoder.modalities)
    list(pool.map(encoder.encode, batches, [modality] * len(batches)))
    return sum(len(b) for b in batches) / watch.seconds()


def _best(encoder: Encoder, threads: int, hardware: Hardware) -> LoadedEncoder:
    runs = runs_at_a_time(hardware.cores, threads, hardware.provider)
    if hardware.batch and hardware.threads:
        return LoadedEncoder(encoder, Execution(threads, runs, hardware.batch))
    sizes = [hardware.batch] if hardware.batch else [2**n for n in range(_LARGEST_BATCH.bit_length())]
    best = Execution(threads, runs, sizes[0], pictures_per_second(encoder, sizes[0], runs))
    for size in sizes[1:]:
        speed = pictures_per_second(encoder, size, runs)
        if speed < best.pictures_per_second * _WORTH:
            break
        best = Execution(threads, runs, size, speed)
    return LoadedEncoder(encoder, best)
