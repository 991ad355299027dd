"""How a model runs best on this machine: one run over all cores, or one run per core, and how many pictures in each.

Measured when the model is loaded, in a fraction of a second. For small models one single-threaded run per core does
half as much again as one run over all cores; for large ones, and on other machines, it may be the other way round.
What is compared runs in turn, round by round, so that other work of a busy machine slows all of it alike.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from service.encoder.contract import Encoder
from service.runtime.clock import Stopwatch

_LOG = logging.getLogger(__name__)
_LARGEST_BATCH = 16
_WORTH = 1.05  # more threads or a larger batch must do so much better, since each picture waits for more
_THREAD_ROUNDS, _BATCH_ROUNDS = 5, 3  # threads matter more, and are compared once


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


@dataclass(frozen=True)
class _Way:
    """A way to run a model."""

    encoder: Encoder
    threads: int
    runs: int
    batch: int

    @cached_property
    def _inputs(self) -> list[Any]:
        """The inputs of one run. Computed with a first run of each thread, which is slower than those after it."""
        inputs = self.encoder.trial(self.batch)
        _timed(self.encoder, [inputs] * self.runs, self.runs)
        return inputs

    def pictures_per_second(self) -> float:
        """Measured with two runs of each thread."""
        return _timed(self.encoder, [self._inputs] * (2 * self.runs), self.runs)


def load_encoder(load: Callable[[int], Encoder], hardware: Hardware) -> LoadedEncoder:
    """Loads a model with the number of threads that does most; `load` takes that number. Raises what `load` raises."""
    ways = [_way(load(threads), threads, hardware) for threads in _wanted_threads(hardware)]
    way = _fastest(ways) if hardware.batch else _larger_batches(_fastest(ways))
    speed = 0.0 if hardware.batch and hardware.threads else _best_speed(way, _BATCH_ROUNDS)
    found = LoadedEncoder(way.encoder, Execution(way.threads, way.runs, way.batch, speed))
    _LOG.info("encoder %s: execution %s", found.encoder.manifest.id, found.execution)
    return found


def speed_ratios(measures: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    """How many times as fast each is as the first: medians over rounds in each of which all are measured, in an order
    that turns round. measures: return speeds, above 0."""
    ratios: list[list[float]] = [[] for _ in measures]
    for number in range(rounds):
        order = range(len(measures)) if number % 2 == 0 else reversed(range(len(measures)))
        speeds = {place: measures[place]() for place in order}
        for place, speed in speeds.items():
            ratios[place].append(speed / speeds[0])
    return [statistics.median(some) for some in ratios]


def _wanted_threads(hardware: Hardware) -> list[int]:
    if hardware.threads:
        return [min(hardware.threads, hardware.cores)]
    return thread_counts(hardware.cores, hardware.provider)


def _way(encoder: Encoder, threads: int, hardware: Hardware) -> _Way:
    return _Way(encoder, threads, runs_at_a_time(hardware.cores, threads, hardware.provider), hardware.batch or 1)


def _fastest(ways: Sequence[_Way]) -> _Way:
    """The way with the fewest threads, which comes first, unless another one is clearly faster."""
    if len(ways) == 1:
        return ways[0]
    ratios = speed_ratios([way.pictures_per_second for way in ways], _THREAD_ROUNDS)
    best = max(range(len(ways)), key=ratios.__getitem__)
    return ways[best] if ratios[best] >= _WORTH else ways[0]


def _larger_batches(way: _Way) -> _Way:
    """The same with the smallest batch after which a larger one is hardly faster."""
    while way.batch < _LARGEST_BATCH:
        larger = replace(way, batch=2 * way.batch)
        measures = [way.pictures_per_second, larger.pictures_per_second]
        if speed_ratios(measures, _BATCH_ROUNDS)[1] < _WORTH:
            break
        way = larger
    return way


def thread_counts(cores: int, provider: str) -> list[int]:
    """The numbers of threads per run that are worth comparing."""
    return [cores] if provider != "cpu" or cores == 1 else [1, cores]


def runs_at_a_time(cores: int, threads: int, provider: str) -> int:
    """How many runs of so many threads fill the cores; an accelerator does one after the other."""
    return max(1, cores // threads) if provider == "cpu" else 1


def pictures_per_second(encoder: Encoder, batch: int, runs: int, rounds: int) -> float:
    """The best of a few rounds, in each of which every one of `runs` threads runs twice."""
    return _best_speed(_Way(encoder, 0, runs, batch), rounds)


def _best_speed(way: _Way, rounds: int) -> float:
    return max(way.pictures_per_second() for _ in range(rounds))


def _timed(encoder: Encoder, batches: Sequence[list[Any]], runs: int) -> float:
    """Pictures per second."""
    modality = min(encoder.modalities)
    with ThreadPoolExecutor(runs) as pool:
        watch = Stopwatch()
        list(pool.map(encoder.encode, batches, [modality] * len(batches)))
        return sum(len(b) for b in batches) / watch.seconds()
